var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __esm = (fn, res, err) => function __init() {
  if (err) throw err[0];
  try {
    return fn && (res = (0, fn[__getOwnPropNames(fn)[0]])(fn = 0)), res;
  } catch (e) {
    throw err = [e], e;
  }
};
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};
var __copyProps = (to, from, except, desc) => {
  if (from && typeof from === "object" || typeof from === "function") {
    for (let key of __getOwnPropNames(from))
      if (!__hasOwnProp.call(to, key) && key !== except)
        __defProp(to, key, { get: () => from[key], enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable });
  }
  return to;
};
var __toCommonJS = (mod) => __copyProps(__defProp({}, "__esModule", { value: true }), mod);

// src/guard.ts
var faults, safely, original, addListener, timer, Observer, pageFetch, listen, later, wrap;
var init_guard = __esm({
  "src/guard.ts"() {
    "use strict";
    faults = 0;
    safely = (work) => {
      return (...args) => {
        try {
          return work(...args);
        } catch {
          faults++;
          return void 0;
        }
      };
    };
    original = (name) => {
      const page2 = window;
      return page2[page2.Zone?.__symbol__?.(name)] ?? page2[name];
    };
    addListener = original("addEventListener");
    timer = original("setTimeout");
    Observer = original("MutationObserver");
    pageFetch = original("fetch");
    listen = (target, types, work) => {
      for (const type of types.split(" ")) {
        addListener.call(target, type, safely(work), { capture: true, passive: true });
      }
    };
    later = (work, milliseconds = 0) => {
      timer(safely(work), milliseconds);
    };
    wrap = (owner, names, before) => {
      for (const name of names.split(" ")) {
        try {
          const value = new Proxy(owner[name], {
            apply(native, self, args) {
              const after = safely(before)(self, args);
              const result = Reflect.apply(native, self, args);
              return (after && safely(after)(result)) ?? result;
            }
          });
          Object.defineProperty(owner, name, { value, writable: true, enumerable: true, configurable: true });
        } catch {
        }
      }
    };
  }
});

// src/cause.ts
var currentEvent, channel, current, ended, turns, endDispatch, beginDispatch, causeNow, causeOfRejection;
var init_cause = __esm({
  "src/cause.ts"() {
    "use strict";
    init_guard();
    currentEvent = Object.getOwnPropertyDescriptor(window, "event")?.get;
    channel = new MessageChannel();
    turns = 0;
    channel.port1.onmessage = (event) => {
      if (-event.data === ended?.$turn) ended = void 0;
      else endDispatch(event.data);
    };
    endDispatch = (turn) => {
      if (current?.$turn !== turn) return;
      ended = current;
      current = void 0;
      channel.port2.postMessage(-turn);
    };
    beginDispatch = (id, event) => {
      const turn = ++turns;
      const [hit = event.target] = event.composedPath();
      current = { id, $shown: event.isTrusted && hit === event.target, $turn: turn };
      channel.port2.postMessage(turn);
      later(() => endDispatch(turn));
    };
    causeNow = () => current?.$shown && currentEvent && !currentEvent.call(window) ? void 0 : current?.id;
    causeOfRejection = () => current?.id ?? ended?.id;
  }
});

// src/dom.ts
var isElement, elementOf, hitBy, tagOf, withHosts, isWeb;
var init_dom = __esm({
  "src/dom.ts"() {
    "use strict";
    isElement = (node) => node instanceof Element;
    elementOf = (node) => isElement(node) ? node : node.parentElement;
    hitBy = (event) => event.composedPath()[0];
    tagOf = (element) => element.tagName.toLowerCase();
    withHosts = (element) => {
      const root = element.getRootNode();
      return root instanceof ShadowRoot ? [element, ...withHosts(root.host)] : [element];
    };
    isWeb = (url) => /^http/.test(url.protocol);
  }
});

// src/options.ts
var options, endpoint, served, setOptions, isOwnHost, isMarked;
var init_options = __esm({
  "src/options.ts"() {
    "use strict";
    init_dom();
    options = { key: "" };
    endpoint = "";
    served = false;
    setOptions = (chosen) => {
      options = chosen;
      const address2 = new URL(chosen.url || new URL("v1/events", served || location.href), location.href);
      if (address2.pathname === "/") address2.pathname = "/v1/events";
      endpoint = address2.href;
    };
    isOwnHost = (address2) => {
      const bare = (name) => "." + name.replace(/^www\./, "");
      const mine = bare(location.hostname);
      const other = bare(address2.hostname);
      const domain = /\.[^.]{4,}\.[^.]+$/.exec(mine)?.[0] ?? mine;
      return address2.host === location.host || !!options.ownHosts?.includes(address2.host) || !/^[\d.]+$|\[/.test(mine) && (other.endsWith(domain) || mine.endsWith(other));
    };
    isMarked = (element, mark) => {
      return withHosts(element).some((at) => at.closest(`[data-furrow-${mark}],${options[mark] || "_"}`));
    };
  }
});

// src/control.ts
var FIELDS, ACTIONABLE, BUTTON, NO_TEXT, GENERATED, isOwnName, isField, isControl, findControl, findPointed, findSwitchedOff, covers, describe, typeOf, ownId, LANDMARKS, selectorOf, labelOf, textOf, shorten;
var init_control = __esm({
  "src/control.ts"() {
    "use strict";
    init_dom();
    init_options();
    FIELDS = "input,select,textarea,[contenteditable]:not([contenteditable=false])";
    ACTIONABLE = `button,a[href],area,summary,label,option,[onclick],${FIELDS},[role^=menuitem]` + ",button,link,tab,option,switch,checkbox,radio,treeitem,combobox".replace(/\w+/g, "[role=$&]");
    BUTTON = "button,[role=button],[type=button],[type=submit],[type=reset],[type=image]";
    NO_TEXT = "script,style,noscript,template,[aria-hidden=true],[data-furrow-mask]," + FIELDS;
    GENERATED = /[:«»]|^_r_|^(ember|mat|mdc|cdk|ion|css|sc|js[sx]|mui|chakra|mantine|radix|reach|headlessui|react|rc|ant|el-id|ui-id|ext|gwt|yui|downshift|tippy|select2|__BVID__|j_idt|ctl|input|field|button|u?id|v|ng|dx|bits).*\d|\d{5}|(?=[a-f]*\d)[\da-f]{8}|([a-z]+\d+){2}[a-z]|(\d[a-z]+){3}/i;
    isOwnName = (name) => !!name && name.length <= 128 && !GENERATED.test(name);
    isField = (element) => element.matches(FIELDS) && !element.matches(BUTTON);
    isControl = (element) => element.matches(ACTIONABLE);
    findControl = (path) => {
      const elements = path.filter(isElement);
      const control = elements.find(isControl);
      return control instanceof HTMLLabelElement && control.control || (control?.closest("select") ?? control ?? findPointed(elements) ?? elements[0]);
    };
    findPointed = (elements) => {
      return elements[elements.findIndex((element) => element === document.body || getComputedStyle(element).cursor !== "pointer") - 1];
    };
    findSwitchedOff = (around, x, y) => {
      const controls = [...around.querySelectorAll(ACTIONABLE)].slice(0, 40);
      return controls.find((control) => covers(control, x, y) && getComputedStyle(control).pointerEvents === "none");
    };
    covers = (element, x, y) => {
      const place = element.getBoundingClientRect();
      return place.left <= x && x <= place.right && place.top <= y && y <= place.bottom;
    };
    describe = (element) => {
      const tagName = tagOf(element);
      const id = ownId(element);
      return {
        type: typeOf(element, tagName),
        id,
        selector: id ? void 0 : selectorOf(element, tagName),
        tagName,
        label: isControl(element) && !isMarked(element, "mask") && labelOf(element) || void 0
      };
    };
    typeOf = (element, tagName) => {
      const role = element.getAttribute("role");
      if (element.matches(BUTTON)) return element.matches("a[href*='/']") ? "link" : "button";
      if (tagName === "a") return role || "link";
      return role || /^(checkbox|radio|range|number|file)$/.exec(element.type)?.[0] || tagName;
    };
    ownId = (element) => {
      const names = "data-furrow data-testid data-test data-cy data-test-id id name".split(" ");
      return withHosts(element).flatMap((at) => names.map((name) => at.getAttribute(name))).find(isOwnName);
    };
    LANDMARKS = "form,dialog,nav,header,footer,main,aside,[role=dialog]";
    selectorOf = (element, tagName) => {
      let around = element.parentElement;
      while (around && !ownId(around) && !around.matches(LANDMARKS)) around = around.parentElement;
      const place = around ? (ownId(around) ? "#" + ownId(around) : tagOf(around)) + " " : "";
      const type = element.getAttribute("type");
      const classes = [...element.classList].filter((name) => /^(?=...)[a-z]+(-[a-z]+)*$/.test(name) && isOwnName(name));
      return place + tagName + (type ? `[type=${type}]` : "") + classes.slice(0, 2).map((name) => "." + name).join("");
    };
    labelOf = (element) => {
      const attribute = (name) => shorten(element.getAttribute(name) ?? "", 80 /* LABEL_LENGTH */);
      return attribute("aria-label") || attribute("aria-labelledby").split(" ").map((id) => textOf(element.getRootNode().getElementById?.(id))).join(" ").trim() || textOf(element.labels?.[0]) || element.matches(BUTTON) && (attribute("value") || attribute("alt")) || !isField(element) && textOf(element) || attribute("title") || attribute("placeholder");
    };
    textOf = (element) => {
      let text = "";
      let room = 150 /* NODES_READ */;
      const read2 = (node) => {
        if (text.length > 80 /* LABEL_LENGTH */ || room-- < 0) return;
        if (node instanceof Text) text += node.data;
        else if (isElement(node) && (node === element || !node.matches(NO_TEXT))) {
          text += ` ${node !== element && node.getAttribute("aria-label") || node.getAttribute("alt") || ""}`;
          (node.shadowRoot ?? node).childNodes.forEach(read2);
          text += " ";
        }
      };
      if (element && !element.matches(":read-write")) read2(element);
      return shorten(text, 80 /* LABEL_LENGTH */);
    };
    shorten = (text, length) => {
      const line = text.replace(/\s+/g, " ").trim();
      return line[length] ? [...line].slice(0, length).join("") : line;
    };
  }
});

// src/session.ts
var randomLetters, pageId, made, newId, session, written, mayStore, startSession, stored, read, sessionId, isSampled, forgetSession, leaveNote, takeNote, others, channel2, joinTabs, announce, isLastTab;
var init_session = __esm({
  "src/session.ts"() {
    "use strict";
    init_guard();
    init_options();
    randomLetters = (count) => {
      return String.fromCharCode(...crypto.getRandomValues(new Uint8Array(count)).map((byte) => 97 + byte % 26));
    };
    pageId = randomLetters(12);
    made = 0;
    newId = () => `${pageId}-${made++}`;
    session = { id: "", last: 0 };
    written = 0;
    mayStore = false;
    startSession = (stored2) => {
      mayStore = stored2;
      written = 0;
      if (stored2) listen(window, "storage", (event) => event.key === "furrow" /* NAME */ && read());
    };
    stored = (area, value) => {
      try {
        if (value === null) return delete window[area]["furrow" /* NAME */];
        if (mayStore) return value ? window[area]["furrow" /* NAME */] = JSON.stringify(value) : JSON.parse(window[area]["furrow" /* NAME */]);
      } catch {
      }
      return void 0;
    };
    read = () => {
      const kept = stored("localStorage");
      if (typeof kept?.id === "string" && kept.last > session.last) session = kept;
    };
    sessionId = () => {
      const now = Date.now();
      const isOver = () => now - session.last > 18e5 /* IDLE_MS */;
      if (isOver()) {
        written = 0;
        read();
        if (isOver()) session = { id: randomLetters(22), last: 0, out: Math.random() >= (options.sample ?? 1) };
      }
      session.last = now;
      if (now - written > 5e3 /* WRITE_EVERY_MS */) {
        written = now;
        stored("localStorage", session);
      }
      return session.id;
    };
    isSampled = () => {
      sessionId();
      return !session.out;
    };
    forgetSession = () => {
      stored("localStorage", null);
      stored("sessionStorage", null);
      session.last = 0;
    };
    leaveNote = (note) => stored("sessionStorage", note);
    takeNote = () => {
      const note = stored("sessionStorage");
      leaveNote(null);
      return note;
    };
    others = /* @__PURE__ */ new Set();
    joinTabs = () => {
      listen(channel2 = new BroadcastChannel("furrow" /* NAME */), "message", ({ data: [word, tab] }) => {
        others[word === "bye" ? "delete" : "add"](tab);
        if (word === "hello") announce("here");
      });
      later(() => announce("hello"));
    };
    announce = (word) => {
      channel2?.postMessage([word, pageId]);
    };
    isLastTab = () => !others.size;
  }
});

// src/route.ts
var named, nameRoute, currentRoute, routeOf;
var init_route = __esm({
  "src/route.ts"() {
    "use strict";
    init_guard();
    init_options();
    nameRoute = (route) => {
      named = { route, address: location.href };
    };
    currentRoute = () => {
      const chosen = named?.address === location.href ? named.route : safely(() => options.route?.(new URL(location.href)))();
      return typeof chosen === "string" ? chosen.slice(0, 512) : routeOf(location);
    };
    routeOf = (address2) => {
      return (address2.pathname + (/^#!?\/[^?]*/.exec(address2.hash) ?? "")).slice(0, 512);
    };
  }
});

// src/store.ts
var database, openStore, rows, park, unpark, forgetStore;
var init_store = __esm({
  "src/store.ts"() {
    "use strict";
    init_guard();
    openStore = (ready) => {
      try {
        const opening = indexedDB.open("furrow" /* NAME */, 1);
        opening.onupgradeneeded = () => opening.result.createObjectStore("furrow" /* NAME */, { autoIncrement: true });
        opening.onsuccess = () => {
          database = opening.result;
          ready();
        };
      } catch {
      }
    };
    rows = () => database?.transaction("furrow" /* NAME */, "readwrite").objectStore("furrow" /* NAME */);
    park = (items) => !!items.length && !!safely(() => rows()?.add(items.map(({ text, urgent }) => ({ text, urgent }))))();
    unpark = (use) => {
      const waiting = rows();
      if (!waiting) return use([]);
      const reading = waiting.getAll();
      waiting.clear();
      reading.onsuccess = safely(() => use(reading.result.flat()));
    };
    forgetStore = () => {
      rows()?.clear();
      indexedDB.deleteDatabase("furrow" /* NAME */);
    };
  }
});

// src/delivery.ts
var queue, dropped, failures, refused, sending, due, isFull, lengthOfQueue, enqueue, amend, keep, parkQueue, schedule, takeBatch, bodyOf, flush, sendBatch, post, request, settle, flushHidden, resume, forgetEvents;
var init_delivery = __esm({
  "src/delivery.ts"() {
    "use strict";
    init_guard();
    init_options();
    init_store();
    queue = [];
    dropped = 0;
    failures = 0;
    refused = false;
    sending = false;
    due = Infinity;
    isFull = () => queue.length >= 40 /* BATCH_EVENTS */ || lengthOfQueue() >= 2e4 /* BATCH_LENGTH */;
    lengthOfQueue = () => queue.reduce((sum, item) => sum + item.text.length, 0);
    enqueue = (event, urgent) => {
      if (refused) return;
      queue.push({ text: JSON.stringify(event), urgent, $event: event });
      keep([]);
      schedule(urgent ? 1e3 /* URGENT_MS */ : isFull() ? 0 : 1e4 /* BATCH_MS */);
    };
    amend = (event, change) => {
      const item = queue.find((waiting) => waiting.$event === event);
      if (!item) return false;
      Object.assign(event.metadata, change);
      item.text = JSON.stringify(event);
      return true;
    };
    keep = (items) => {
      queue.unshift(...items);
      for (let excess = lengthOfQueue() - 256e3 /* QUEUE_LENGTH */; excess > 0; dropped++) {
        excess -= queue.splice(Math.max(queue.findIndex((item) => !item.urgent), 0), 1)[0].text.length;
      }
    };
    parkQueue = () => {
      if (park(queue)) queue = [];
    };
    schedule = (wait) => {
      const at = Date.now() + wait;
      if (sending || at >= due) return;
      due = at;
      later(() => Date.now() >= due - 5 && flush(), wait);
    };
    takeBatch = (length, count) => {
      let sum = 0;
      const end2 = queue.findIndex((item, place) => place >= count || (sum += item.text.length) > length);
      return queue.splice(0, end2 < 0 ? count : Math.max(end2, 1)).map(({ text, urgent }) => ({ text, urgent }));
    };
    bodyOf = (items, apiKey) => {
      const { appVersion, environment } = options;
      const batch = { apiKey, sentAt: Date.now(), sdkVersion: "furrow-browser/0.1.0", appVersion, environment, dropped: dropped || void 0, faults: faults || void 0 };
      return `${JSON.stringify(batch).slice(0, -1)},"events":[${items.map(({ text }) => text).join()}]}`;
    };
    flush = () => {
      due = Infinity;
      if (sending || refused) return;
      if (failures) unpark(sendBatch);
      else sendBatch([]);
    };
    sendBatch = (parked) => {
      keep(parked);
      if (!queue.length) return;
      sending = true;
      const items = takeBatch(2e4 /* BATCH_LENGTH */, 40 /* BATCH_EVENTS */);
      settle(items, post(bodyOf(items)));
    };
    post = async (text) => {
      const headers = { "Content-Type": "application/json", "X-API-Key": options.key };
      if (text.length <= 2e3 /* GZIP_LENGTH */ || !window.CompressionStream) return request(text, headers);
      headers["Content-Encoding"] = "gzip";
      return request(await new Response(new Response(text).body.pipeThrough(new CompressionStream("gzip"))).blob(), headers);
    };
    request = (body, headers) => pageFetch.call(window, endpoint, { method: "POST", credentials: "omit", keepalive: true, body, headers });
    settle = (items, answer) => {
      const reported2 = dropped;
      const finish2 = safely(({ status, headers }) => {
        sending = false;
        if (!status || status === 429 || status >= 500) {
          keep(items);
          parkQueue();
          schedule(Math.max(+headers?.get("Retry-After") * 1e3 || 0, Math.min(6e4 /* LONGEST_WAIT_MS */, 1e3 * 2 ** failures++) * (0.75 + Math.random() / 2)));
        } else if (status >= 400) {
          refused = true;
          queue = [];
          console.warn(`furrow: refused (${status})`);
        } else {
          dropped -= reported2;
          if (failures) unpark(keep);
          failures = 0;
          if (queue.length) schedule(isFull() ? 0 : 1e3 /* URGENT_MS */);
        }
      });
      answer.then(finish2, () => finish2({ status: 0 }));
    };
    flushHidden = () => {
      if (refused || !queue.length) return;
      if (!failures && navigator.onLine) {
        const items = takeBatch(4e4 /* LAST_LENGTH */, 999);
        const body = bodyOf(items, options.key);
        settle(items, request(body, { "Content-Type": "text/plain" }).catch(() => ({ status: navigator.sendBeacon(endpoint, body) ? 202 : 0 })));
      }
      parkQueue();
    };
    resume = () => unpark((parked) => {
      keep(parked);
      if (parked.length) schedule(1e3 /* URGENT_MS */);
    });
    forgetEvents = () => {
      queue = [];
      forgetStore();
    };
  }
});

// src/record.ts
var state, seq, record;
var init_record = __esm({
  "src/record.ts"() {
    "use strict";
    init_guard();
    init_options();
    init_session();
    init_route();
    init_delivery();
    state = {
      /** Whether events are recorded: after `init`, with consent, before `stop`. */
      $running: false,
      $user: void 0
    };
    seq = 0;
    record = (eventType, metadata, extra = {}, urgent = false) => {
      if (!state.$running) return void 0;
      const eventId = extra.eventId ?? newId();
      const made2 = {
        eventType,
        timestamp: Date.now(),
        sessionId: sessionId(),
        route: currentRoute(),
        seq: seq++,
        userId: state.$user,
        ...extra,
        eventId,
        idempotencyKey: eventId,
        metadata: { ...metadata, prerendered: document.prerendering || void 0 }
      };
      const event = options.beforeSend ? safely(options.beforeSend)(made2) : made2;
      if (event) enqueue(event, urgent);
      return event || void 0;
    };
  }
});

// src/errors.ts
var counts, report, withoutQuery, isOwnSource, frameOf, startErrors, reportFile;
var init_errors = __esm({
  "src/errors.ts"() {
    "use strict";
    init_cause();
    init_control();
    init_dom();
    init_guard();
    init_options();
    init_record();
    counts = /* @__PURE__ */ new Map();
    report = (errorType, message, frame, cause, file, element) => {
      const text = shorten(String(message ?? ""), 500 /* MESSAGE_LENGTH */).replace(/[^\s@"'<>]+@[^\s@"'<>]+\.\w+/g, "[email]").replace(/\d{6,}/g, "[number]");
      const count = (counts.get(text) ?? 0) + 1;
      if (counts.size < 200 /* MESSAGES_KEPT */) counts.set(text, count);
      if (count > 20 /* SAME_MESSAGE */) return;
      const source = file || frame.replace(/:\d+:\d+$/, "");
      const thirdParty = /^Script error\.?$/.test(text) || !isOwnSource(source);
      record("error", { errorType, message: text, source: withoutQuery(source), frame: withoutQuery(frame) || void 0, thirdParty, element }, { cause }, true);
    };
    withoutQuery = (source) => source.replace(/[?#].*?(?=:\d+:\d+$|$)/, "").slice(0, 512);
    isOwnSource = (source) => {
      try {
        const url = new URL(source, location.href);
        return isWeb(url) ? isOwnHost(url) : !/extension:/.test(url.protocol);
      } catch {
        return true;
      }
    };
    frameOf = (error) => {
      const frames = String(error?.stack).slice(0, 4e3).match(/[a-z-]+:\/\/[^\s()]+:\d+:\d+/g) ?? [];
      return frames.find(isOwnSource) ?? frames[0] ?? "";
    };
    startErrors = () => {
      listen(window, "error", (event) => {
        const { target, filename } = event;
        if (isElement(target)) reportFile(target);
        else report("javascript", event.message, frameOf(event.error) || filename && `${filename}:${event.lineno}:${event.colno}`, causeNow(), filename);
      });
      listen(window, "unhandledrejection", (event) => {
        const reason = event.reason;
        const message = reason?.message;
        report("promise", message ?? (typeof reason === "string" ? reason : `a rejected promise (${typeof reason})`), frameOf(reason), causeOfRejection());
      });
      listen(window, "securitypolicyviolation", (event) => {
        if (event.disposition === "enforce") report("resource", `blocked by CSP: ${event.effectiveDirective}`, "", causeNow(), event.blockedURI);
      });
    };
    reportFile = (element) => {
      const source = element.src ?? element.href;
      const name = tagOf(element);
      if (/^[^[du]/.test(source) && !/audio|video/.test(name)) report("resource", `${name} did not load`, "", void 0, source, name);
    };
  }
});

// src/blocked.ts
var actions, failures2, noteAction, pressOf, noteOutcome, announceBlocked;
var init_blocked = __esm({
  "src/blocked.ts"() {
    "use strict";
    init_control();
    init_forms();
    init_options();
    actions = [];
    failures2 = /* @__PURE__ */ new Map();
    noteAction = (id, press, element, target) => {
      actions.unshift({ id, $press: press, element, target, at: Date.now() });
      if (!isField(element)) noteTry(id);
      actions.splice(20 /* ACTIONS_KEPT */);
    };
    pressOf = (id) => actions.find((action) => action.id === id)?.$press;
    noteOutcome = (request2, status, failed2, cause, began) => {
      const action = actions.find((one) => cause ? one.id === cause : one.at <= began + 50 && began - one.at <= 1e3);
      if (!action) return;
      const control = action.target;
      const { method, url } = request2;
      const name = [method, url.replace(/\d+/g, "#"), control.id, control.label, control.selector].join();
      const known = failures2.get(name);
      if (failed2 && known?.$press === action.$press) return;
      failures2.delete(name);
      if (!failed2) return;
      const attempts = known && action.at - known.at <= 3e4 /* AGAIN_MS */ ? known.attempts + 1 : 1;
      if (failures2.size > 50 /* FAILURES_KEPT */) failures2.clear();
      failures2.set(name, { $press: action.$press, attempts, at: Date.now() });
      if (attempts > 1) announceBlocked(action.element, { request: { method, url }, status, attempts, control });
    };
    announceBlocked = (element, detail) => {
      const target = element.isConnected ? element : document;
      setTimeout(() => {
        target.dispatchEvent(new CustomEvent("furrow:blocked", { detail, bubbles: true, composed: true }));
        options.onBlocked?.(detail);
      });
    };
  }
});

// src/mutations.ts
var observer, observe, startObserver, stopObserver;
var init_mutations = __esm({
  "src/mutations.ts"() {
    "use strict";
    init_forms();
    init_guard();
    init_record();
    init_responded();
    observer = new Observer(
      safely((mutations) => {
        for (const mutation of mutations.slice(0, 200 /* MOST_READ */)) {
          readMutation(mutation);
          readRefusal(mutation);
        }
      })
    );
    observe = (root) => {
      if (state.$running) observer.observe(root, { subtree: true, childList: true, characterData: true, attributeOldValue: true });
    };
    startObserver = () => {
      observe(document);
      wrap(Element.prototype, "attachShadow", () => observe);
    };
    stopObserver = () => observer.disconnect();
  }
});

// src/responded.ts
var watches, lastInteraction, interacted, DRAWN, watch, watchClick, decide, answered, settle2, movements, noteMovement, movesBy, OWN_STATE, OWN_CLASS, CHOICE, UNSEEN, readMutation, isSeen, startResponded;
var init_responded = __esm({
  "src/responded.ts"() {
    "use strict";
    init_control();
    init_dom();
    init_guard();
    init_mutations();
    init_delivery();
    init_record();
    watches = /* @__PURE__ */ new Set();
    lastInteraction = -Infinity;
    interacted = () => {
      lastInteraction = performance.now();
    };
    DRAWN = "canvas,object,embed,iframe";
    watch = (control) => {
      const made2 = { control, $unclear: isField(control) || control.matches(DRAWN + ",video,audio") };
      withHosts(control).forEach((at) => observe(at.getRootNode()));
      watches.add(made2);
      later(() => made2.click || watches.delete(made2), 2e3 /* NEAR_MS */);
      return made2;
    };
    watchClick = (made2, click) => {
      made2.click = click;
      watches.add(made2);
      if (made2.$answered) decide(made2, true);
      else later(() => decide(made2, false), 1e3 /* ANSWER_MS */);
    };
    decide = (made2, responded) => {
      const click = made2.click;
      if (!watches.delete(made2) || !click || !responded && (made2.$unclear || document.hidden || document.querySelector(DRAWN + "[src]"))) return;
      if (!amend(click, { responded })) record("verdict", { responded }, { verdictFor: click.eventId });
    };
    answered = () => {
      watches.forEach(settle2);
    };
    settle2 = (made2) => {
      made2.$answered = true;
      if (made2.click) decide(made2, true);
    };
    movements = /* @__PURE__ */ new WeakMap();
    noteMovement = (node, now) => {
      if (!node || node.contains(document.body)) return;
      const known = movements.get(node);
      const again = known && now - known.last < 15e3 /* MEMORY_MS */;
      const step = !again || now - known.$counted > 200 /* STEP_MS */;
      movements.set(node, { last: now, $counted: step ? now : known.$counted, $times: again ? known.$times + +step : 1 });
    };
    movesBy = (node, now) => {
      const known = movements.get(node);
      const ago = known ? now - known.last : Infinity;
      return ago > 15e3 /* MEMORY_MS */ ? 0 /* ONLY_NOW */ : known.$times >= 5 /* MOVES_BY_ITSELF */ ? 2 /* ITSELF */ : +(ago < 2e3 /* NEAR_MS */);
    };
    OWN_STATE = /^((aria-)?disabled|aria-busy|tabindex|data-(focus|whatin|active|pressed|hover).*)$/;
    OWN_CLASS = /focus|hover|active|press|ripple|wave|touch|mouse|keyboard|tabbing|intent|loading|busy|disabled|pending|submitting|spin/i;
    CHOICE = /^(aria-(pressed|checked|selected|expanded)|open)$/;
    UNSEEN = "script,style,noscript,template,link,meta,title,base,head,head *";
    readMutation = (mutation) => {
      const now = performance.now();
      const target = mutation.target;
      const element = elementOf(target);
      if (document.readyState === "loading") interacted();
      const moving = [target, element, element?.parentElement];
      if (!watches.size) {
        if (now - lastInteraction >= 1e3 /* ANSWER_MS */) moving.forEach((node) => noteMovement(node, now));
        return;
      }
      if (element && !isSeen(mutation, element)) return;
      const kind = Math.max(...moving.map((node) => movesBy(node, now)));
      if (kind === 2 /* ITSELF */) return moving.forEach((node) => movements.has(node) && noteMovement(node, now));
      for (const made2 of [...watches]) {
        if (kind || element && made2.control.contains(element) && !CHOICE.test(mutation.attributeName)) made2.$unclear = true;
        else settle2(made2);
      }
    };
    isSeen = (mutation, element) => {
      const { attributeName, oldValue } = mutation;
      if (element.matches(UNSEEN)) return false;
      if (attributeName) {
        const [old, now] = [oldValue, element.getAttribute(attributeName)].map((text) => (text ?? "").split(/\s+/));
        if (element.getAttribute(attributeName) === oldValue || OWN_STATE.test(attributeName)) return false;
        if (attributeName === "class" && ![...old, ...now].some((word) => word && old.includes(word) !== now.includes(word) && !OWN_CLASS.test(word))) return false;
      }
      const nodes = [...mutation.addedNodes, ...mutation.removedNodes];
      if (nodes.length && !nodes.some((node) => isElement(node) ? !node.matches(UNSEEN) && !OWN_CLASS.test(node.getAttribute("class")) : node.nodeValue?.trim())) return false;
      return element.checkVisibility?.() ?? true;
    };
    startResponded = () => {
      listen(window, "focusin", ({ target }) => {
        if (isElement(target) && [...watches].every((made2) => !made2.control.contains(target) && !target.contains(made2.control))) answered();
      });
      listen(window, "wheel touchmove input", interacted);
      listen(window, "scroll", ({ target }) => {
        const now = performance.now();
        if (watches.size) movesBy(target, now) || answered();
        else if (now - lastInteraction > 1e3 /* ANSWER_MS */) noteMovement(target, now);
      });
      listen(window, "play copy cut fullscreenchange toggle change", answered);
      listen(window, "click", ({ target, isTrusted }) => {
        if (!isTrusted && isElement(target) && target.matches("input[type=file],a[download],a[href^='blob:']")) answered();
      });
      listen(window, "blur", ({ target }) => target === window && answered());
      listen(document, "load", answered);
      wrap(window, "alert confirm prompt print open", answered);
      wrap(window.Clipboard?.prototype, "write writeText", answered);
    };
  }
});

// src/navigation.ts
var shown, address, navigation, leavesElsewhere, entries, visit, noteAddress, moved, routeNamed, followHistory, asked, ask, noteNavigation, noteFormSent, followLinks, arrive, reportAnswer, startNavigation;
var init_navigation = __esm({
  "src/navigation.ts"() {
    "use strict";
    init_cause();
    init_dom();
    init_guard();
    init_record();
    init_responded();
    init_route();
    init_session();
    init_options();
    init_forms();
    shown = "";
    address = "";
    ({ navigation } = window);
    leavesElsewhere = !navigation;
    entries = 0;
    visit = (navigationType, from, cause) => {
      shown = currentRoute();
      noteAddress();
      record("navigation", { navigationType, from }, { cause });
    };
    noteAddress = () => {
      address = location.href;
      entries = history.length;
    };
    moved = (kind) => {
      const before = address;
      noteAddress();
      if (before === address) return;
      const onlyFragment = before.split("#")[0] === address.split("#")[0];
      answered();
      if (currentRoute() !== shown) visit(kind === "push" && onlyFragment ? "link" : kind, shown, causeNow());
    };
    routeNamed = () => {
      if (currentRoute() !== shown) visit("push", shown || void 0, causeNow());
    };
    followHistory = () => {
      if (navigation) {
        listen(navigation, "currententrychange", ({ navigationType }) => moved(navigationType === "traverse" ? "back_forward" : navigationType || "replace"));
        listen(navigation, "navigate", noteNavigation);
        return;
      }
      for (const kind of ["push", "replace"]) {
        wrap(history, kind + "State", () => () => moved(kind));
      }
      listen(window, "popstate", () => moved(history.length === entries ? "back_forward" : "link"));
      listen(window, "hashchange", () => moved("link"));
    };
    ask = (cause, form) => {
      leaveNote(asked = { cause, form, route: shown, at: Date.now() });
    };
    noteNavigation = (event) => {
      if (event.destination.sameDocument || event.downloadRequest !== null) return;
      leavesElsewhere = isOwnHost(new URL(event.destination.url)) || event.navigationType === "reload";
      answered();
      const at = Date.now();
      const cause = causeNow();
      leaveNote({ ...asked && at - asked.at < 1e3 /* BEGIN_MS */ && asked, ...cause && { cause }, route: shown, at });
    };
    noteFormSent = (form, submitter, cause) => {
      const value = (name) => submitter?.getAttribute("form" + name) || form.getAttribute(name) || "";
      ask(cause, { path: new URL(value("action"), document.baseURI).pathname, method: (value("method") || "GET").toUpperCase() });
    };
    followLinks = () => {
      listen(window, "click", (event) => {
        const link = event.composedPath().find((part) => part instanceof HTMLAnchorElement && part.href);
        if (!link) return;
        const { protocol } = link;
        const download = link.hasAttribute("download") || void 0;
        const external = !isWeb(link) || !isOwnHost(link);
        const loads = link.pathname + link.search !== location.pathname + location.search;
        const cause = causeNow();
        later(() => {
          if (event.defaultPrevented) return;
          if (download || external) /^(javascript|blob):$/.test(protocol) || record("navigation", { navigationType: "link", external, download }, { cause });
          else if (loads) ask(cause);
        });
      });
    };
    arrive = () => {
      const [entry] = performance.getEntriesByType("navigation");
      const type = entry?.type;
      const note = takeNote();
      const led = note && Math.abs(Date.now() - performance.now() - note.at) < 1e3 /* BEGIN_MS */ && type === "navigate" ? note : void 0;
      const referrer = document.referrer ? new URL(document.referrer) : void 0;
      const from = led?.route ?? (referrer?.host === location.host ? routeOf(referrer) : void 0);
      if (entry) reportAnswer(entry, led);
      visit(/^(reload|back_forward)$/.test(type) ? type : from && "link", from, led?.cause);
      if (!led?.form) return;
      if (document.readyState === "loading") listen(window, "DOMContentLoaded", () => reportRefusedForm(led.cause));
      else reportRefusedForm(led.cause);
    };
    reportAnswer = (entry, led) => {
      const { responseStatus: status, responseStart } = entry;
      const form = led?.form;
      if (!status || !(status >= 400 || form)) return;
      record(
        "network",
        {
          method: form?.method ?? "GET",
          url: form?.path ?? location.pathname,
          status,
          durationMs: Math.round(responseStart - entry.startTime),
          aborted: false,
          thirdParty: false
        },
        {
          cause: led?.cause,
          timestamp: Math.round(performance.timeOrigin + responseStart),
          ...form && { route: led.route }
        },
        status >= 400
      );
    };
    startNavigation = () => {
      followHistory();
      followLinks();
      arrive();
      listen(window, "pageshow", (event) => {
        leavesElsewhere = !navigation;
        if (!event.persisted) return;
        announce("hello");
        visit("back_forward");
      });
      listen(window, "prerenderingchange", () => visit("link"));
    };
  }
});

// src/forms.ts
var lastTry, reported, noteTry, refuse, startForms, submitted, recordSubmit, reportedForms, noteInvalidForm, validityOf, MARKS, ERROR_WORD, readRefusal, refuseWithin, refuseMarked, reportRefusedForm;
var init_forms = __esm({
  "src/forms.ts"() {
    "use strict";
    init_blocked();
    init_cause();
    init_control();
    init_dom();
    init_guard();
    init_navigation();
    init_options();
    init_record();
    init_session();
    reported = /* @__PURE__ */ new WeakSet();
    noteTry = (id) => {
      lastTry = { id, at: Date.now() };
      reported = /* @__PURE__ */ new WeakSet();
    };
    refuse = (field, reason, cause) => {
      if (reported.has(field) || isMarked(field, "ignore")) return;
      reported.add(field);
      record("error", { errorType: "validation", message: reason, thirdParty: false }, { target: describe(field), cause }, true);
    };
    startForms = () => {
      listen(window, "focusin change focusout", (event) => {
        const field = hitBy(event);
        if (!isElement(field) || !isField(field) || isMarked(field, "ignore")) return;
        const action = event.type.replace("in", "").replace("focusout", "blur");
        record("input", { action, fieldType: field.type || "text" }, { target: describe(field) });
      });
      listen(window, "submit", submitted);
      listen(window, "invalid", ({ target }) => {
        const cause = causeNow();
        if (cause && isElement(target)) {
          noteInvalidForm(target, cause);
          refuse(target, validityOf(target), cause);
        }
      });
    };
    submitted = (event) => {
      const form = hitBy(event);
      if (!(form instanceof HTMLFormElement) || isMarked(form, "ignore")) return;
      const id = newId();
      const cause = causeNow();
      beginDispatch(id, event);
      const target = recordSubmit(form, form.matches(":valid"), cause, id);
      const button = event.submitter;
      noteAction(id, pressOf(cause) ?? id, button ?? form, button ? describe(button) : target);
      later(() => event.defaultPrevented || noteFormSent(form, button, id));
    };
    recordSubmit = (form, valid, cause, eventId = newId()) => {
      const target = { ...describe(form), type: "form" };
      record("form_submit", { valid }, { eventId, cause, target });
      return target;
    };
    reportedForms = /* @__PURE__ */ new WeakMap();
    noteInvalidForm = (field, cause) => {
      const form = field.form;
      if (!form || reportedForms.get(form) === cause) return;
      reportedForms.set(form, cause);
      recordSubmit(form, false, cause);
    };
    validityOf = ({ validity }) => {
      for (const rule in validity) {
        if (rule !== "valid" && validity[rule]) return rule;
      }
      return "invalid";
    };
    MARKS = "[role=alert],.errorlist,[aria-invalid=true]";
    ERROR_WORD = /err|invalid|danger|fail|warn/i;
    readRefusal = (mutation) => {
      if (!lastTry || Date.now() - lastTry.at > 5e3 /* REFUSED_MS */) return;
      const element = elementOf(mutation.target);
      if (mutation.attributeName === "aria-invalid") refuseMarked(element, lastTry.id);
      if (mutation.attributeName) return;
      const around = element?.closest("[role=alert],.errorlist");
      if (around) refuseMarked(around, lastTry.id);
      mutation.addedNodes.forEach((node) => isElement(node) && refuseWithin(node, lastTry.id));
    };
    refuseWithin = (root, cause) => {
      for (const mark of [root, ...root.querySelectorAll(MARKS)].slice(0, 20)) refuseMarked(mark, cause);
    };
    refuseMarked = (mark, cause) => {
      const alert = mark.matches("[role=alert]");
      if (!mark.matches(MARKS) || alert && !(ERROR_WORD.test(mark.className + " " + mark.firstElementChild?.className) && mark.textContent?.trim())) return;
      refuse(mark, alert ? "alert" : mark.matches(".errorlist") ? "errorlist" : "aria-invalid", cause);
    };
    reportRefusedForm = (cause) => refuseWithin(document.body, cause);
  }
});

// src/network.ts
var open, begin, end, startNetwork, mayRefuse, readAnswer, readText, hasErrors, abortOpen;
var init_network = __esm({
  "src/network.ts"() {
    "use strict";
    init_blocked();
    init_cause();
    init_dom();
    init_guard();
    init_options();
    init_record();
    open = /* @__PURE__ */ new Map();
    begin = (method, address2) => {
      const url = new URL(address2, document.baseURI);
      if (url.href.startsWith(endpoint) || !isWeb(url)) return void 0;
      const request2 = { method: String(method || "GET").toUpperCase(), url: url.pathname.slice(0, 1024), thirdParty: !isOwnHost(url) };
      open.set(request2, [Date.now(), causeNow()]);
      return request2;
    };
    end = (request2, status, aborted = false, bodyError, timestamp = Date.now()) => {
      const [began, cause] = open.get(request2) ?? [];
      if (!began || !open.delete(request2)) return;
      const failed2 = !aborted && (bodyError || status === 0 || status >= 400);
      record("network", { ...request2, status, durationMs: timestamp - began, aborted, bodyError: bodyError || void 0 }, { cause, timestamp }, failed2);
      if (status !== void 0 && !aborted && !request2.thirdParty) noteOutcome(request2, status, failed2, cause, began);
    };
    startNetwork = () => {
      wrap(window, "fetch", (_, [input, init2]) => {
        const made2 = input instanceof Request ? input : { url: input };
        const own = init2;
        const request2 = begin(own?.method ?? made2.method, made2.url);
        return request2 && ((answer) => {
          const arrived = safely((response) => readAnswer(request2, response));
          const failed2 = safely((reason) => end(request2, 0, !!(own?.signal ?? made2.signal)?.aborted || reason?.name === "AbortError"));
          if (answer?.constructor !== Promise || Object.keys(answer).length) answer?.then?.(arrived, failed2);
          else return answer.then(
            (response) => {
              arrived(response);
              return response;
            },
            (reason) => {
              failed2(reason);
              throw reason;
            }
          );
        });
      });
      const calls2 = /* @__PURE__ */ new WeakMap();
      wrap(XMLHttpRequest.prototype, "open", (xhr, args) => {
        calls2.set(xhr, args);
      });
      wrap(XMLHttpRequest.prototype, "send", (self) => {
        const xhr = self;
        const opened = calls2.get(xhr);
        const request2 = opened && begin(...opened);
        if (request2)
          listen(
            xhr,
            "abort loadend",
            (event) => end(request2, xhr.status, event.type === "abort", mayRefuse(request2, xhr.status, xhr.getResponseHeader("Content-Type")) && hasErrors(xhr.response))
          );
      });
      wrap(navigator, "sendBeacon", (_, [url]) => {
        const request2 = begin("POST", url);
        if (request2) return (queued) => end(request2, queued ? void 0 : 0);
        return void 0;
      });
    };
    mayRefuse = (request2, status, type) => !request2.thirdParty && status < 300 && /[/+]json\s*(;|$)/i.test(type);
    readAnswer = (request2, response) => {
      const at = Date.now();
      const finish2 = safely((bodyError) => end(request2, response.status || void 0, false, bodyError, at));
      if (mayRefuse(request2, response.status, response.headers.get("Content-Type")) && !(+response.headers.get("Content-Length") > 65536 /* LARGEST_BODY */))
        readText(response.clone()).then((text) => finish2(hasErrors(text)), () => finish2());
      else finish2();
    };
    readText = async (response) => {
      const reader = response.body.getReader();
      const decoder = new TextDecoder();
      let text = "";
      for (; ; ) {
        const { done, value } = await reader.read();
        if (done) return text;
        text += decoder.decode(value, { stream: true });
        if (text.length > 65536 /* LARGEST_BODY */) {
          void reader.cancel();
          return "";
        }
      }
    };
    hasErrors = (body) => {
      try {
        if (typeof body === "string") return body.length <= 65536 /* LARGEST_BODY */ && body.includes('"errors"') && hasErrors(JSON.parse(body));
        return Array.isArray(body.errors) && body.errors.length > 0;
      } catch {
        return false;
      }
    };
    abortOpen = () => {
      for (const [request2] of open) end(request2, 0, true);
    };
  }
});

// src/lifecycle.ts
var startLifecycle;
var init_lifecycle = __esm({
  "src/lifecycle.ts"() {
    "use strict";
    init_delivery();
    init_guard();
    init_navigation();
    init_network();
    init_record();
    init_responded();
    init_session();
    startLifecycle = () => {
      joinTabs();
      listen(window, "visibilitychange", () => {
        record("visibility", { state: document.visibilityState });
        if (document.hidden) {
          answered();
          flushHidden();
        } else resume();
      });
      listen(window, "pagehide", (event) => {
        answered();
        abortOpen();
        announce("bye");
        if (!event.persisted && !leavesElsewhere && isLastTab()) record("session_end", {});
        state.$running &&= event.persisted;
        flushHidden();
      });
      listen(window, "online", () => schedule(0));
    };
  }
});

// src/performance.ts
var lastAction, lastInteraction2, startPerformance, watch2, measureLoad, measure;
var init_performance = __esm({
  "src/performance.ts"() {
    "use strict";
    init_guard();
    init_record();
    lastAction = -Infinity;
    startPerformance = () => {
      listen(window, "click keydown", (event) => {
        lastAction = event.timeStamp;
      });
      watch2("longtask", (entry) => {
        const { startTime, duration } = entry;
        if (startTime - lastAction < 1e3 /* AFTER_ACTION_MS */ && startTime + duration >= lastAction && duration > 200 /* LONG_TASK_MS */) measure("long_task", entry);
      });
      watch2("event", (entry) => {
        const interactionId = entry.interactionId;
        if (interactionId && interactionId !== lastInteraction2) measure("slow_response", entry);
        lastInteraction2 = interactionId || lastInteraction2;
      });
      if (document.readyState === "complete") measureLoad();
      else listen(window, "load", () => later(measureLoad));
    };
    watch2 = (type, use) => {
      new PerformanceObserver((list) => list.getEntries().forEach(safely(use))).observe({ type, buffered: true, durationThreshold: 500 /* SLOW_INTERACTION_MS */ });
    };
    measureLoad = () => {
      const [entry] = performance.getEntriesByType("navigation");
      if (entry?.duration) measure("page_load", entry);
    };
    measure = (kind, { startTime, duration }) => {
      record("performance", { kind, durationMs: Math.round(duration) }, { timestamp: Math.round(performance.timeOrigin + startTime + duration) });
    };
  }
});

// src/presses.ts
var pending, last, labelled, startPresses, beginPress, claim, finish, describeClick, isDisabled, locate;
var init_presses = __esm({
  "src/presses.ts"() {
    "use strict";
    init_cause();
    init_control();
    init_dom();
    init_guard();
    init_options();
    init_record();
    init_session();
    init_responded();
    init_blocked();
    startPresses = () => {
      listen(window, "pointerdown", (event) => {
        if (event.isPrimary && event.isTrusted && !event.button) beginPress(event, true);
      });
      listen(window, "pointerup", (event) => {
        const press = pending;
        if (!press || !event.isPrimary || !event.isTrusted) return;
        beginDispatch(press.id, event);
        const swallowed = () => {
          if (pending !== press) return;
          pending = void 0;
          if (press.disabled ||= isDisabled(press.control)) finish(press, event);
        };
        later(swallowed, event.pointerType === "touch" ? 400 /* TOUCH_CLICK_MS */ : 0);
      });
      listen(window, "pointercancel dragstart", () => {
        pending = void 0;
      });
      listen(window, "keydown", (event) => {
        interacted();
        beginPress(event, event.isTrusted && !event.repeat && /^(Enter| )$/.test(event.key));
      });
      listen(window, "click", (event) => {
        if (!event.isTrusted) return;
        if (labelled && hitBy(event) === labelled) labelled = void 0;
        else {
          const press = claim(event);
          if (press) finish(press, event);
        }
      });
    };
    beginPress = (event, isNew) => {
      if (isNew) pending = locate(event);
      if (pending) beginDispatch(pending.id, event);
    };
    claim = (event) => {
      const press = pending;
      pending = void 0;
      const found = findControl(event.composedPath());
      if (press && (press.control === found || press.obscured || press.disabled || !press.control.isConnected)) return press;
      return locate(event);
    };
    finish = (press, event) => {
      last = press;
      press.at = Date.now();
      beginDispatch(press.id, event);
      labelled = event.composedPath().includes(press.control) ? void 0 : press.control;
      later(() => labelled = void 0);
      if (isMarked(press.control, "ignore")) return;
      const click = record("click", describeClick(press, event), { eventId: press.id, target: press.target });
      noteAction(press.id, press.id, press.control, press.target);
      if (click) watchClick(press.$watched, click);
    };
    describeClick = (press, event) => {
      return {
        x: Math.round(event.clientX),
        y: Math.round(event.clientY),
        clickCount: event.detail || 1,
        inputMethod: event.type === "click" && !event.detail && !event.pointerType ? "keyboard" : (event.pointerType || press.$pointer) === "touch" ? "touch" : "mouse",
        disabled: press.disabled,
        loading: !!(press.control.closest("[aria-busy=true]") ?? press.control.querySelector("[role=progressbar],[class*=spinner]")),
        selection: getSelection()?.type === "Range",
        obscured: press.obscured || void 0,
        modifiers: ["alt", "ctrl", "meta", "shift"].filter((key) => event[`${key}Key`]).join("+") || void 0
      };
    };
    isDisabled = (element) => !!element.closest(":disabled,[aria-disabled=true]");
    locate = (event) => {
      const hit = findControl(event.composedPath());
      if (!hit) return void 0;
      const x = event.clientX;
      const y = event.clientY;
      const before = last && Date.now() - last.at < 2e3 /* SAME_PLACE_MS */ && Math.hypot(last.x - x, last.y - y) <= 12 /* SAME_PLACE_PX */ ? last : void 0;
      const switchedOff = !isControl(hit) && findSwitchedOff(hit, x, y);
      const covered = !isControl(hit) && !switchedOff && before && before.control !== hit && covers(before.control, x, y);
      const control = switchedOff || (covered ? before.control : hit);
      interacted();
      return {
        id: newId(),
        control,
        // Its name may change while it works: "Add", "Adding…".
        target: before?.control === control ? before.target : describe(control),
        x,
        y,
        at: Date.now(),
        disabled: !!switchedOff || isDisabled(control),
        obscured: !!covered,
        $pointer: event.pointerType,
        $watched: watch(control)
      };
    };
  }
});

// src/furrow.ts
var furrow_exports = {};
__export(furrow_exports, {
  furrow: () => furrow
});
var installed, isBot, consented, start, recordOutcome, calls, furrow;
var init_furrow = __esm({
  "src/furrow.ts"() {
    "use strict";
    init_errors();
    init_forms();
    init_delivery();
    init_guard();
    init_lifecycle();
    init_mutations();
    init_navigation();
    init_network();
    init_options();
    init_performance();
    init_presses();
    init_record();
    init_responded();
    init_route();
    init_session();
    init_store();
    init_cause();
    installed = false;
    isBot = () => navigator.webdriver || /bot|crawl|spider|headless|lighthouse|prerender/i.test(navigator.userAgent);
    consented = false;
    start = () => {
      if (!options.key || options.consent === "required" && !consented) return;
      const stored2 = options.consent !== "memory" || consented;
      startSession(stored2);
      if (!isSampled()) return;
      if (stored2) openStore(resume);
      state.$running = true;
      if (installed) return;
      installed = true;
      for (const part of [startObserver, startResponded, startPresses, startForms, startNetwork, startErrors, startNavigation, startPerformance, startLifecycle]) safely(part)();
    };
    recordOutcome = (name, failed2, reason) => {
      record("network", { method: "APP", url: "/" + String(name).slice(0, 128), status: 200, durationMs: 0, bodyError: failed2, reason: reason?.slice(0, 200) }, { cause: causeNow() }, failed2);
    };
    calls = {
      init(chosen) {
        if (options.key || !chosen.key || isBot()) return;
        setOptions(chosen);
        state.$user = chosen.user ?? state.$user;
        start();
      },
      user(id) {
        state.$user = id == null ? void 0 : String(id);
      },
      page(route) {
        nameRoute(String(route));
        routeNamed();
      },
      achieved: (name) => recordOutcome(name, false),
      failed: (name, reason) => recordOutcome(name, true, reason),
      consent(granted) {
        consented = granted;
        if (granted) start();
        else {
          calls.stop();
          forgetEvents();
          forgetSession();
        }
      },
      session: () => state.$running ? sessionId() : "",
      stop() {
        state.$running = false;
        stopObserver();
      },
      push(...queued) {
        for (const [name, ...args] of queued) furrow[name]?.(...args);
      }
    };
    furrow = { version: "furrow-browser/0.1.0" };
    for (const name in calls) furrow[name] = safely(calls[name]);
  }
});

// src/index.ts
var nothing = () => void 0;
var withoutPage = {
  version: "furrow-browser/0.1.0",
  init: nothing,
  user: nothing,
  page: nothing,
  achieved: nothing,
  failed: nothing,
  consent: nothing,
  session: () => "",
  stop: nothing,
  push: nothing
};
var furrow2 = typeof window === "undefined" ? withoutPage : (init_furrow(), __toCommonJS(furrow_exports)).furrow;
var { init, user, page, achieved, failed, consent, session: session2, stop } = furrow2;
export {
  achieved,
  consent,
  failed,
  furrow2 as furrow,
  init,
  page,
  session2 as session,
  stop,
  user
};
