// src/guard.ts
var faults = { count: 0 };
function safely(work) {
  return (...args) => {
    try {
      return work(...args);
    } catch {
      faults.count++;
      return void 0;
    }
  };
}
function original(owner, name) {
  const zone = window.Zone;
  return zone?.__symbol__ && owner[zone.__symbol__(name)] || owner[name];
}
var addListener = original(EventTarget.prototype, "addEventListener");
var timer = original(window, "setTimeout");
var Observer = original(window, "MutationObserver");
var pageFetch = original(window, "fetch");
function listen(target, types, work) {
  for (const type of types.split(" ")) {
    addListener.call(target, type, safely(work), { capture: true, passive: true });
  }
}
function later(work, milliseconds) {
  return timer(safely(work), milliseconds);
}
function wrap(owner, name, run) {
  try {
    const holder = owner;
    const wrapped = holder[name];
    if (!wrapped) return false;
    const value = new Proxy(wrapped, {
      apply: (native, self, args) => run(() => Reflect.apply(native, self, args), self, args)
    });
    Object.defineProperty(owner, name, { value, writable: true, enumerable: true, configurable: true });
    return true;
  } catch {
    return false;
  }
}

// src/cause.ts
var currentEvent = Object.getOwnPropertyDescriptor(window, "event")?.get;
var { port1, port2 } = new MessageChannel();
var current;
var ended;
port1.onmessage = ({ data }) => {
  if (data === "-" + ended?.id) ended = void 0;
  else endDispatch(data);
};
function endDispatch(id) {
  if (current?.id !== id) return;
  [ended, current] = [current, void 0];
  port2.postMessage("-" + id);
}
function isInShadow(event) {
  const [first] = event.composedPath();
  return first instanceof Node && first.getRootNode() instanceof ShadowRoot;
}
function beginDispatch(id, event) {
  if (current?.id === id) return;
  current = { id, shown: event.isTrusted && !isInShadow(event) };
  port2.postMessage(id);
  later(() => endDispatch(id), 0);
}
function causeNow() {
  if (!current || current.shown && currentEvent && !currentEvent.call(window)) return void 0;
  return current.id;
}
var causeOfRejection = () => current?.id ?? ended?.id;

// src/options.ts
var options = { key: "" };
var endpoint = "";
function setOptions(chosen, base2) {
  options = chosen;
  const address2 = new URL(chosen.url || new URL("v1/events", base2 || location.href), location.href);
  if (address2.pathname === "/") address2.pathname = "/v1/events";
  endpoint = address2.href;
}
function isOwnHost(host) {
  const page2 = location.host;
  if (host === page2 || options.ownHosts?.includes(host)) return true;
  const [mine, other] = [page2, host].map((name) => name.replace(/^www\./, "").replace(/:\d+$/, ""));
  if (!mine || !other || /^[\d.]+$|^\[/.test(mine)) return false;
  const domain = /[^.]{4,}\.[^.]+$/.exec(mine)?.[0];
  return [mine, domain].some((name) => name && (name === other || other.endsWith("." + name))) || mine.endsWith("." + other);
}
function isMarked(element, mark) {
  const chosen = options[mark];
  const selector = `[data-furrow-${mark}]` + (chosen ? "," + chosen : "");
  for (let at = element; at; at = hostOf(at)) {
    if (at.closest(selector)) return true;
  }
  return false;
}
function hostOf(element) {
  const root = element.getRootNode();
  return root instanceof ShadowRoot ? root.host : null;
}

// src/control.ts
var FIELDS = "input,select,textarea,[contenteditable=''],[contenteditable=true]";
var ACTIONABLE = `button,a[href],area,summary,label,option,[onclick],${FIELDS},[role^=menuitem]` + "button,link,tab,option,switch,checkbox,radio,treeitem,combobox".replace(/\w+/g, "[role=$&]").replace(/^/, ",");
var BUTTON = "button,input[type=button],input[type=submit],input[type=reset],input[type=image],[role=button]";
var NO_TEXT = "script,style,noscript,template,textarea,select,[aria-hidden=true],[data-furrow-mask]," + FIELDS;
var LABEL_LENGTH = 80;
var NODES_READ = 150;
var GENERATED = [
  /[:«»]|^_[rR]_/,
  /^(ember|mat|mdc|cdk|ion|css|sc|js[sx]|mui|chakra|mantine|radix|reach|headlessui|react|rc|ant|el-id|ui-id|ext|gwt|yui|downshift|tippy|select2|__BVID__|j_idt|ctl|input|field|button|u?id|v|ng|dx|bits)[-_]?.*\d/i,
  /\d{5}|(?=[a-f]*\d)[\da-f]{8}|([a-z]+\d+){2}[a-z]|(\d[a-z]+){3}/i
];
var isOwnName = (name) => !!name && name.length <= 128 && !GENERATED.some((pattern) => pattern.test(name));
var isField = (element) => element.matches(FIELDS) && !element.matches(BUTTON);
var isControl = (element) => element.matches(ACTIONABLE);
function findControl(path) {
  const elements = path.filter((part) => part instanceof Element);
  const control = elements.find(isControl);
  if (control instanceof HTMLLabelElement && control.control) return control.control;
  return control?.closest("select") ?? control ?? findPointed(elements) ?? elements[0];
}
function findPointed(elements) {
  const end2 = elements.findIndex((element) => element === document.body || getComputedStyle(element).cursor !== "pointer");
  return elements[end2 - 1];
}
function findSwitchedOff(around, x, y) {
  const controls = [...around.querySelectorAll(ACTIONABLE)].slice(0, 40);
  return controls.find((control) => covers(control, x, y) && getComputedStyle(control).pointerEvents === "none");
}
function covers(element, x, y) {
  const { left, right, top, bottom } = element.getBoundingClientRect();
  return left <= x && x <= right && top <= y && y <= bottom;
}
function describe(element) {
  const tagName = element.tagName.toLowerCase();
  const id = ownId(element);
  return {
    type: typeOf(element, tagName),
    id,
    selector: id ? void 0 : selectorOf(element, tagName),
    tagName,
    label: isControl(element) && !isMarked(element, "mask") ? labelOf(element) : void 0
  };
}
function typeOf(element, tagName) {
  const role = element.getAttribute("role");
  if (element.matches(BUTTON)) return "button";
  if (tagName === "a") return role || "link";
  const { type } = element;
  return role || (/^(checkbox|radio|range|number|file)$/.test(type) ? type : tagName);
}
function ownId(element) {
  for (let at = element; at; at = hostOf(at)) {
    const found = ["data-furrow", "data-testid", "data-test", "data-cy", "data-test-id", "id", "name"].map((name) => at.getAttribute(name)).find(isOwnName);
    if (found) return found;
  }
  return void 0;
}
var LANDMARKS = "form,dialog,nav,header,footer,main,aside,[role=dialog]";
function selectorOf(element, tagName) {
  let around = element.parentElement;
  while (around && !ownId(around) && !around.matches(LANDMARKS)) around = around.parentElement;
  const named2 = around && ownId(around);
  const place = named2 ? "#" + named2 : around?.tagName.toLowerCase();
  const type = element.getAttribute("type");
  const classes = [...element.classList].filter((name) => /^[a-z]+(-[a-z]+)*$/.test(name) && name.length > 2 && isOwnName(name));
  return (place ? place + " " : "") + tagName + (type ? `[type=${type}]` : "") + classes.slice(0, 2).map((name) => "." + name).join("");
}
function labelOf(element) {
  const input = element;
  const attribute = (name) => shorten(element.getAttribute(name) ?? "", LABEL_LENGTH);
  return attribute("aria-label") || attribute("aria-labelledby").split(" ").map((id) => textOf(element.getRootNode().getElementById?.(id))).join(" ").trim() || textOf(input.labels?.[0]) || element.matches(BUTTON) && (attribute("value") || attribute("alt")) || !isField(element) && textOf(element) || attribute("title") || attribute("placeholder") || void 0;
}
function textOf(element) {
  let text = "";
  let room = NODES_READ;
  const read2 = (node) => {
    if (text.length > LABEL_LENGTH || room-- < 0) return;
    if (node instanceof Text) text += node.data;
    else if (node instanceof Element && (node === element || !node.matches(NO_TEXT))) {
      text += ` ${node !== element && node.getAttribute("aria-label") || node.getAttribute("alt") || ""}`;
      (node.shadowRoot ?? node).childNodes.forEach(read2);
      text += " ";
    }
  };
  if (element) read2(element);
  return shorten(text, LABEL_LENGTH);
}
function shorten(text, length) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length <= length ? line : [...line].slice(0, length).join("");
}

// src/session.ts
var STORED = "furrow";
var IDLE_MS = 30 * 6e4;
var WRITE_EVERY_MS = 5e3;
function randomLetters(count) {
  return String.fromCharCode(...Array.from(crypto.getRandomValues(new Uint8Array(count)), (byte) => 97 + byte % 26));
}
var pageId = randomLetters(12);
var made = 0;
var newId = () => `${pageId}-${made++}`;
var session = { id: "", last: 0 };
var written = 0;
var mayStore = false;
function startSession(stored) {
  mayStore = stored;
  written = 0;
  if (stored) listen(window, "storage", (event) => event.key === STORED && read());
}
function read() {
  try {
    const kept = mayStore && JSON.parse(localStorage.getItem(STORED) || "null");
    if (kept && typeof kept.id === "string" && kept.last > session.last) session = kept;
  } catch {
    mayStore = false;
  }
}
function sessionId() {
  const now = Date.now();
  if (!session.id || now - session.last > IDLE_MS) {
    read();
    if (!session.id || now - session.last > IDLE_MS) session = { id: randomLetters(22), last: now, out: Math.random() >= (options.sample ?? 1) };
    written = 0;
  }
  session.last = now;
  if (now - written > WRITE_EVERY_MS) {
    written = now;
    keep(STORED, session);
  }
  return session.id;
}
var isSampled = () => !!sessionId() && !session.out;
function forgetSession() {
  keep(STORED, null);
  session = { id: "", last: 0 };
}
function keep(name, value) {
  try {
    if (mayStore) localStorage.setItem(name, JSON.stringify(value));
  } catch {
    mayStore = false;
  }
}
function leaveNote(note) {
  try {
    if (mayStore) sessionStorage.setItem(STORED, JSON.stringify(note));
  } catch {
  }
}
function takeNote() {
  try {
    const note = mayStore && JSON.parse(sessionStorage.getItem(STORED) || "null");
    sessionStorage.removeItem(STORED);
    return note || void 0;
  } catch {
    return void 0;
  }
}
var others = /* @__PURE__ */ new Set();
var channel;
function joinTabs() {
  if (!("BroadcastChannel" in window)) return;
  channel = new BroadcastChannel(STORED);
  listen(channel, "message", ({ data: [word, tab] }) => {
    if (word === "bye") others.delete(tab);
    else others.add(tab);
    if (word === "hello") announce("here");
  });
  later(() => announce("hello"), 0);
}
function announce(word) {
  channel?.postMessage([word, pageId]);
}
var isLastTab = () => others.size === 0;

// src/route.ts
var named;
function nameRoute(route) {
  named = { route: route.slice(0, 512), address: location.href };
}
function currentRoute() {
  if (named?.address === location.href) return named.route;
  const chosen = options.route && safely(options.route)(new URL(location.href));
  return typeof chosen === "string" ? chosen.slice(0, 512) : routeOf(location);
}
function routeOf(address2) {
  const fragment = /^#!?\/[^?]*/.exec(address2.hash)?.[0] ?? "";
  return (address2.pathname + fragment).slice(0, 512);
}

// src/store.ts
var NAME = "furrow";
var database;
function openStore(ready) {
  try {
    const opening = indexedDB.open(NAME, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(NAME, { autoIncrement: true });
    opening.onsuccess = () => {
      database = opening.result;
      ready();
    };
  } catch {
  }
}
var rows = () => database?.transaction(NAME, "readwrite").objectStore(NAME);
function park(items) {
  if (!items.length) return false;
  return !!safely(() => rows()?.add(items.map(({ text, urgent }) => ({ text, urgent }))))();
}
function unpark(use) {
  const waiting = rows();
  if (!waiting) return use([]);
  const reading = waiting.getAll();
  reading.onsuccess = safely(() => {
    waiting.clear();
    use(reading.result.flat());
  });
}
function forgetStore() {
  rows()?.clear();
}

// src/delivery.ts
var BATCH_EVENTS = 40;
var BATCH_LENGTH = 2e4;
var LAST_LENGTH = 4e4;
var QUEUE_LENGTH = 256e3;
var GZIP_LENGTH = 2e3;
var BATCH_MS = 1e4;
var URGENT_MS = 1e3;
var LONGEST_WAIT_MS = 6e4;
var queue = [];
var dropped = 0;
var failures = 0;
var refused = false;
var sending = false;
var due = Infinity;
var lengthOf = (items) => items.reduce((sum, item) => sum + item.text.length, 0);
function enqueue(event, urgent) {
  if (refused) return;
  keep2([...queue, { text: JSON.stringify(event), urgent, event }]);
  schedule(urgent ? URGENT_MS : queue.length < BATCH_EVENTS && lengthOf(queue) < BATCH_LENGTH ? BATCH_MS : 0);
}
function amend(event, change) {
  const item = queue.find((waiting) => waiting.event === event);
  if (!item) return false;
  Object.assign(event.metadata, change);
  item.text = JSON.stringify(event);
  return true;
}
function keep2(items) {
  queue = items;
  let excess = lengthOf(queue) - QUEUE_LENGTH;
  for (const calm of [true, false]) {
    if (excess <= 0) return;
    queue = queue.filter((item) => {
      if (excess <= 0 || item.urgent === calm) return true;
      excess -= item.text.length;
      dropped++;
      return false;
    });
  }
}
function schedule(wait) {
  const at = Date.now() + wait;
  if (sending || at >= due) return;
  due = at;
  later(() => Date.now() >= due - 5 && flush(), wait);
}
function takeBatch(length, count) {
  let sum = 0;
  const end2 = queue.findIndex((item, place) => place >= count || (sum += item.text.length) > length);
  return queue.splice(0, end2 < 0 ? count : Math.max(end2, 1));
}
function bodyOf(items, apiKey) {
  for (const item of items) delete item.event;
  const { appVersion, environment } = options;
  const batch = { apiKey, sentAt: Date.now(), sdkVersion: "furrow-browser/0.1.0", appVersion, environment, dropped: dropped || void 0, faults: faults.count || void 0 };
  return `${JSON.stringify(batch).slice(0, -1)},"events":[${items.map((item) => item.text).join()}]}`;
}
function flush() {
  due = Infinity;
  if (sending || refused) return;
  if (failures) unpark((parked) => sendBatch(parked));
  else sendBatch([]);
}
function sendBatch(parked) {
  keep2([...parked, ...queue]);
  if (!queue.length) return;
  sending = true;
  const items = takeBatch(BATCH_LENGTH, BATCH_EVENTS);
  settle(items, post(bodyOf(items)));
}
async function post(text) {
  const headers = { "Content-Type": "application/json", "X-API-Key": options.key };
  let body = text;
  if (text.length > GZIP_LENGTH && window.CompressionStream) {
    body = await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"))).blob();
    headers["Content-Encoding"] = "gzip";
  }
  return request(body, headers);
}
var request = (body, headers) => pageFetch.call(window, endpoint, { method: "POST", credentials: "omit", keepalive: true, body, headers });
function settle(items, answer) {
  const reported2 = dropped;
  const finish2 = safely(({ status, headers }) => {
    sending = false;
    if (!status || status === 429 || status >= 500) {
      const asked2 = 1e3 * Number(headers?.get("Retry-After")) || 0;
      keep2([...items, ...queue]);
      if (park(queue)) queue = [];
      schedule(Math.max(asked2, Math.min(LONGEST_WAIT_MS, 1e3 * 2 ** failures++) * (0.75 + Math.random() / 2)));
    } else if (status >= 400) {
      refused = true;
      queue = [];
      console.warn(`furrow: the collector refused the events (${status})`);
    } else {
      dropped -= reported2;
      if (failures) unpark((parked) => keep2([...parked, ...queue]));
      failures = 0;
      if (queue.length) schedule(queue.length < BATCH_EVENTS ? URGENT_MS : 0);
    }
  });
  answer.then(finish2, () => finish2({ status: 0 }));
}
function flushHidden() {
  if (refused || !queue.length) return;
  const items = takeBatch(LAST_LENGTH, 999);
  const body = bodyOf(items, options.key);
  const byBeacon = () => ({ status: navigator.sendBeacon(endpoint, body) ? 202 : 0 });
  if (failures || !navigator.onLine) keep2([...items, ...queue]);
  else settle(items, request(body, { "Content-Type": "text/plain" }).catch(byBeacon));
  if (park(queue)) queue = [];
}
function resume() {
  unpark((parked) => {
    keep2([...parked, ...queue]);
    if (parked.length) schedule(URGENT_MS);
  });
}
function startDelivery() {
  listen(window, "online", () => schedule(0));
  listen(document, "visibilitychange", () => document.hidden || resume());
}
function clearQueue() {
  queue = [];
}

// src/record.ts
var state = {
  /** Whether events are recorded: after `init`, with consent, before `stop`. */
  running: false,
  user: void 0
};
var seq = 0;
function record(eventType, metadata, extra = {}, urgent = false) {
  if (!state.running) return void 0;
  const eventId = extra.eventId ?? newId();
  const made2 = {
    eventType,
    timestamp: Date.now(),
    sessionId: sessionId(),
    route: currentRoute(),
    seq: seq++,
    userId: state.user,
    ...extra,
    eventId,
    idempotencyKey: eventId,
    metadata: document.prerendering ? { ...metadata, prerendered: true } : metadata
  };
  const { beforeSend } = options;
  const event = beforeSend ? safely(beforeSend)(made2) : made2;
  if (event) enqueue(event, urgent);
  return event || void 0;
}

// src/errors.ts
var MESSAGE_LENGTH = 500;
var SAME_MESSAGE = 20;
var MESSAGES_KEPT = 200;
var EXTENSION = /^[a-z-]*extension:/;
var counts = /* @__PURE__ */ new Map();
function report(errorType, message, source, frame, cause, element) {
  const text = mask(shorten(String(message ?? ""), MESSAGE_LENGTH));
  const count = (counts.get(text) ?? 0) + 1;
  if (counts.size < MESSAGES_KEPT) counts.set(text, count);
  if (count > SAME_MESSAGE) return;
  const foreign = /^Script error\.?$/.test(text) || EXTENSION.test(source) || !!source && !isOwnSource(source);
  record("error", { errorType, message: text, source: withoutQuery(source), frame: frame && withoutQuery(frame), thirdParty: foreign, element }, { cause }, true);
}
var mask = (text) => text.replace(/[^\s@"'<>]+@[^\s@"'<>]+\.\w+/g, "[email]").replace(/\d{6,}/g, "[number]");
var withoutQuery = (source) => source.replace(/[?#][^:]*/, "").slice(0, 512);
function isOwnSource(source) {
  try {
    const { protocol, host } = new URL(source, location.href);
    return !/^https?:$/.test(protocol) || isOwnHost(host);
  } catch {
    return true;
  }
}
function frameOf(error) {
  const stack = error?.stack;
  if (typeof stack !== "string") return void 0;
  const frames = stack.slice(0, 4e3).match(/[a-z-]+:\/\/[^\s()]+:\d+:\d+/g) ?? [];
  return frames.find((frame) => !EXTENSION.test(frame) && isOwnSource(frame)) ?? frames[0];
}
var fileOf = (frame) => frame?.replace(/:\d+:\d+$/, "") ?? "";
function startErrors() {
  listen(window, "error", (event) => {
    const { target } = event;
    if (target instanceof Element) return reportFile(target);
    const own = frameOf(event.error);
    const frame = own ?? (event.filename ? `${event.filename}:${event.lineno}:${event.colno}` : void 0);
    report("javascript", event.message, event.filename || fileOf(frame), frame, causeNow());
  });
  listen(window, "unhandledrejection", ({ reason }) => {
    const frame = frameOf(reason);
    const message = reason?.message;
    report("promise", message ?? (typeof reason === "string" ? reason : `a rejected promise (${typeof reason})`), fileOf(frame), frame, causeOfRejection());
  });
  listen(document, "securitypolicyviolation", ({ effectiveDirective, blockedURI, disposition }) => {
    if (disposition === "enforce") report("resource", `blocked by the page's security policy: ${effectiveDirective}`, blockedURI, void 0, causeNow());
  });
}
function reportFile(element) {
  const { src, href } = element;
  const source = typeof src === "string" && src ? src : typeof href === "string" ? href : "";
  const name = element.tagName.toLowerCase();
  if (source && name !== "audio" && name !== "video") report("resource", `${name} did not load`, source, void 0, void 0, name);
}

// src/blocked.ts
var AGAIN_MS = 3e4;
var ACTIONS_KEPT = 20;
var FAILURES_KEPT = 50;
var actions = /* @__PURE__ */ new Map();
var failures2 = /* @__PURE__ */ new Map();
function noteAction(id, press, element, target) {
  actions.set(id, { press, element, target, at: Date.now() });
  if (actions.size > ACTIONS_KEPT) actions.delete(actions.keys().next().value);
}
var pressOf = (id) => id ? actions.get(id)?.press : void 0;
function noteOutcome(outcome) {
  const action = outcome.cause ? actions.get(outcome.cause) : lastBefore(outcome.began);
  if (!action) return;
  const { method, url, status } = outcome;
  const name = [method, url.replace(/\d+/g, "#"), action.target.id, action.target.label, action.target.selector].join(" ");
  if (!outcome.failed) {
    failures2.delete(name);
    return;
  }
  const now = Date.now();
  const known = failures2.get(name);
  if (known && known.press === action.press) return;
  const again = known && action.at - known.at <= AGAIN_MS;
  const attempts = again ? known.attempts + 1 : 1;
  failures2.delete(name);
  failures2.set(name, { press: action.press, attempts, at: now });
  if (failures2.size > FAILURES_KEPT) failures2.delete(failures2.keys().next().value);
  if (again) announceBlocked(action, { request: { method, url }, status, attempts, control: action.target });
}
function lastBefore(began) {
  return [...actions.values()].reverse().find(({ at }) => at <= began + 50 && began - at <= 1e3);
}
function announceBlocked(action, blocked) {
  const target = action.element.isConnected ? action.element : document;
  setTimeout(() => {
    target.dispatchEvent(new CustomEvent("furrow:blocked", { detail: blocked, bubbles: true, composed: true }));
    options.onBlocked?.(blocked);
  });
}

// src/mutations.ts
var MOST_READ = 200;
var WATCHED = { subtree: true, childList: true, characterData: true, attributes: true, attributeOldValue: true };
var readers = [];
var seen = /* @__PURE__ */ new WeakSet();
var observer = new Observer(
  safely((mutations) => {
    for (const mutation of mutations.slice(0, MOST_READ)) {
      for (const read2 of readers) read2(mutation);
    }
  })
);
function readMutations(read2) {
  readers.push(read2);
}
function observe(root) {
  if (seen.has(root)) return;
  seen.add(root);
  observer.observe(root, WATCHED);
}
function startObserver() {
  observe(document);
  wrap(Element.prototype, "attachShadow", (call) => {
    const root = call();
    safely(observe)(root);
    return root;
  });
}
function stopObserver() {
  observer.disconnect();
}

// src/responded.ts
var ANSWER_MS = 1e3;
var MEMORY_MS = 15e3;
var watches = /* @__PURE__ */ new Set();
var lastInteraction = -Infinity;
function interacted() {
  lastInteraction = performance.now();
}
function watch(control) {
  const made2 = { control, click: void 0, answered: false, unclear: isField(control) || control.matches("canvas,video,audio,iframe,object,embed") };
  for (let at = control.getRootNode(); at instanceof ShadowRoot; at = at.host.getRootNode()) observe(at);
  watches.add(made2);
  later(() => made2.click || watches.delete(made2), 2 * ANSWER_MS);
  return made2;
}
function watchClick(made2, click) {
  made2.click = click;
  watches.add(made2);
  if (made2.answered) decide(made2, true);
  else later(() => decide(made2, false), ANSWER_MS);
}
function decide(made2, responded) {
  const { click } = made2;
  if (!watches.delete(made2) || !click || !responded && isUnknowable(made2)) return;
  if (!amend(click, { responded })) record("verdict", { responded }, { verdictFor: click.eventId });
}
var isUnknowable = (made2) => made2.unclear || document.hidden || !!document.querySelector("canvas,iframe[src],object,embed");
function answered() {
  watches.forEach(settle2);
}
function settle2(made2) {
  made2.answered = true;
  if (made2.click) decide(made2, true);
}
var STEP_MS = 200;
var MOVES_BY_ITSELF = 5;
var movements = /* @__PURE__ */ new WeakMap();
function noteMovement(node, now) {
  if (!node || node === document.body || node === document.documentElement || node === document) return;
  const known = movements.get(node);
  const again = known && now - known.last < MEMORY_MS;
  const step = !again || now - known.counted > STEP_MS;
  movements.set(node, { last: now, counted: step ? now : known.counted, times: (again ? known.times : 0) + +step });
}
function movesBy(node, now) {
  const known = node ? movements.get(node) : void 0;
  if (!known || now - known.last > MEMORY_MS) return void 0;
  return known.times >= MOVES_BY_ITSELF ? "itself" : now - known.last < 2 * ANSWER_MS ? "perhaps" : void 0;
}
var OWN_STATE = /^(disabled|aria-disabled|aria-busy|tabindex|data-focus.*|data-(whatinput|whatintent|active|pressed|hover).*)$/;
var OWN_CLASS = /focus|hover|active|press|ripple|wave|touch|mouse|keyboard|tabbing|intent|loading|busy|disabled|pending|submitting|spin/i;
var CHOICE = /^(aria-(pressed|checked|selected|expanded)|open)$/;
var UNSEEN = "script,style,link,meta,title,noscript,template,base,head,head *";
function readMutation(mutation) {
  const now = performance.now();
  const { target } = mutation;
  const element = target instanceof Element ? target : target.parentElement;
  if (document.readyState === "loading") interacted();
  if (watches.size === 0 && now - lastInteraction < ANSWER_MS) return;
  const moving = [target, element, element?.parentElement ?? null];
  if (watches.size === 0) return moving.forEach((node) => noteMovement(node, now));
  if (element && !isSeen(mutation, element)) return;
  const kind = moving.map((node) => movesBy(node, now)).sort()[0];
  if (kind === "itself") return moving.forEach((node) => movements.has(node) && noteMovement(node, now));
  for (const made2 of [...watches]) {
    if (kind || element && made2.control.contains(element) && !CHOICE.test(mutation.attributeName ?? "")) made2.unclear = true;
    else settle2(made2);
  }
}
function isSeen(mutation, element) {
  const { type, attributeName, oldValue } = mutation;
  if (element.matches(UNSEEN)) return false;
  if (type === "attributes") {
    const value = element.getAttribute(attributeName);
    if (value === oldValue || OWN_STATE.test(attributeName)) return false;
    if (attributeName === "class" && changedWords(oldValue ?? "", value ?? "").every((word) => OWN_CLASS.test(word))) return false;
  }
  if (type === "childList") {
    const nodes = [...mutation.addedNodes, ...mutation.removedNodes];
    if (!nodes.some((node) => node instanceof Element ? !node.matches(UNSEEN) && !OWN_CLASS.test(node.getAttribute("class") ?? "") : node.nodeValue?.trim())) return false;
  }
  return element.checkVisibility?.() ?? true;
}
function changedWords(before, after) {
  const [old, now] = [before, after].map((text) => text.split(/\s+/));
  return [...old.filter((word) => !now.includes(word)), ...now.filter((word) => !old.includes(word))].filter(Boolean);
}
function startResponded() {
  readMutations(readMutation);
  listen(window, "focusin", ({ target }) => {
    if (target instanceof Element && [...watches].every(({ control }) => control !== target && !control.contains(target) && !target.contains(control))) answered();
  });
  listen(window, "wheel touchmove", interacted);
  listen(window, "input", interacted);
  listen(window, "scroll", ({ target }) => {
    const now = performance.now();
    const node = target;
    if (watches.size === 0) {
      if (now - lastInteraction > ANSWER_MS) noteMovement(node, now);
    } else if (!movesBy(node, now)) answered();
  });
  listen(window, "play copy cut fullscreenchange toggle change", answered);
  listen(window, "click", ({ target, isTrusted }) => {
    if (!isTrusted && target instanceof Element && target.matches("input[type=file],a[download],a[href^='blob:']")) answered();
  });
  listen(window, "blur", ({ target }) => target === window && answered());
  listen(document, "load", answered);
  for (const name of ["alert", "confirm", "prompt", "print", "open"]) answerBy(window, name);
  if (window.Clipboard) for (const name of ["write", "writeText"]) answerBy(Clipboard.prototype, name);
}
function answerBy(owner, name) {
  wrap(owner, name, (call) => {
    answered();
    return call();
  });
}

// src/navigation.ts
var NOTE_MS = 6e4;
var shown = "";
var address = "";
var { navigation } = window;
var leaving = { elsewhere: !navigation };
var entries = 0;
function visit(navigationType, from, cause) {
  shown = currentRoute();
  address = location.href;
  entries = history.length;
  record("navigation", { navigationType, from }, { cause });
}
function moved(kind) {
  if (location.href === address) return;
  const onlyFragment = address.split("#")[0] === location.href.split("#")[0];
  address = location.href;
  entries = history.length;
  answered();
  if (currentRoute() !== shown) visit(kind === "push" && onlyFragment ? "link" : kind, shown, causeNow());
}
function routeNamed() {
  if (currentRoute() !== shown) visit("push", shown || void 0, causeNow());
}
function followHistory() {
  const kinds = { push: "push", replace: "replace", traverse: "back_forward", reload: "reload" };
  if (navigation) {
    listen(navigation, "currententrychange", ({ navigationType }) => moved(kinds[navigationType ?? "replace"]));
    listen(navigation, "navigate", noteNavigation);
    return;
  }
  for (const [method, kind] of [["pushState", "push"], ["replaceState", "replace"]]) {
    wrap(history, method, (call) => {
      const result = call();
      safely(moved)(kind);
      return result;
    });
  }
  listen(window, "popstate", () => moved(history.length === entries ? "back_forward" : "link"));
  listen(window, "hashchange", () => moved("link"));
}
function noteNavigation({ destination, downloadRequest, navigationType }) {
  if (destination.sameDocument || downloadRequest !== null) return;
  leaving.elsewhere = isOwnHost(new URL(destination.url).host) || navigationType === "reload";
  answered();
  noteLeaving(causeNow());
}
var asked;
function noteLeaving(cause) {
  const recent = asked && Date.now() - asked.at < 1e3 ? asked : void 0;
  leaveNote({ cause: cause ?? recent?.cause, route: shown, form: recent?.form, at: Date.now() });
}
function noteFormSent(form, submitter, cause) {
  const value = (name) => submitter?.getAttribute("form" + name) || form.getAttribute(name) || "";
  const path = new URL(value("action"), document.baseURI).pathname;
  asked = { form: { path, method: (value("method") || "GET").toUpperCase() }, cause, at: Date.now() };
  noteLeaving(cause);
}
function followLinks() {
  listen(window, "click", (event) => {
    const link = event.composedPath().find((part) => part instanceof HTMLAnchorElement && !!part.href);
    if (!link) return;
    const { protocol, host } = new URL(link.href);
    const download = link.hasAttribute("download");
    const external = !/^https?:$/.test(protocol) || !isOwnHost(host);
    const cause = causeNow();
    if (!download && !external) {
      const here = /^(_self)?$/.test(link.target) && !event.ctrlKey && !event.metaKey && !event.shiftKey && link.pathname + link.search !== location.pathname + location.search;
      if (here) later(() => event.defaultPrevented || noteLeaving((asked = { cause, at: Date.now() }).cause), 0);
      return;
    }
    later(() => event.defaultPrevented || /^(javascript|blob):$/.test(protocol) || record("navigation", { navigationType: "link", external, download: download || void 0 }, { cause }), 0);
  });
}
function arrive() {
  const [entry] = performance.getEntriesByType("navigation");
  const note = takeNote();
  const led = note && Date.now() - note.at < NOTE_MS && entry?.type === "navigate" ? note : void 0;
  const referrer = document.referrer ? new URL(document.referrer) : void 0;
  const from = led?.route ?? (referrer?.host === location.host ? routeOf(referrer) : void 0);
  const kinds = { reload: "reload", back_forward: "back_forward" };
  reportAnswer(entry, led);
  visit(kinds[entry?.type ?? ""] ?? (from ? "link" : void 0), from, led?.cause);
  if (!led?.form) return;
  if (document.readyState === "loading") listen(document, "DOMContentLoaded", () => reportRefusedForm(led.cause));
  else reportRefusedForm(led.cause);
}
function reportAnswer(entry, led) {
  const status = entry?.responseStatus;
  if (!entry || !status || !(status >= 400 || led?.form)) return;
  const form = led?.form;
  record(
    "network",
    {
      method: form?.method ?? "GET",
      url: form?.path ?? location.pathname,
      status,
      durationMs: Math.round(entry.responseStart - entry.startTime),
      aborted: false,
      thirdParty: false
    },
    {
      cause: led?.cause,
      timestamp: Math.round(performance.timeOrigin + entry.responseStart),
      ...form && led ? { route: led.route } : {}
    },
    status >= 400
  );
}
function startNavigation() {
  followHistory();
  followLinks();
  arrive();
  listen(window, "pageshow", ({ persisted }) => {
    leaving.elsewhere = !navigation;
    if (persisted) visit("back_forward", void 0, void 0);
  });
  listen(document, "prerenderingchange", () => visit("link", void 0, void 0));
}

// src/forms.ts
var REFUSED_MS = 5e3;
var lastTry;
var reported = /* @__PURE__ */ new WeakSet();
function noteTry(id) {
  lastTry = { id, at: Date.now() };
  reported = /* @__PURE__ */ new WeakSet();
}
function refuse(field, reason, cause) {
  if (reported.has(field) || isMarked(field, "ignore")) return;
  reported.add(field);
  record("error", { errorType: "validation", message: reason, thirdParty: false }, { target: describe(field), cause }, true);
}
function startForms() {
  const sendInput = (action) => (event) => {
    const [field] = event.composedPath();
    if (!(field instanceof Element) || !field.matches("input,select,textarea,[contenteditable]") || isMarked(field, "ignore")) return;
    if (/^(button|submit|reset|image)$/.test(field.type)) return;
    record("input", { action, fieldType: field.type || "text" }, { target: describe(field) });
  };
  listen(window, "focusin", sendInput("focus"));
  listen(window, "change", sendInput("change"));
  listen(window, "focusout", sendInput("blur"));
  listen(window, "submit", submitted);
  listen(window, "invalid", ({ target }) => {
    const cause = causeNow();
    if (!cause || !(target instanceof Element)) return;
    noteInvalidForm(target, cause);
    refuse(target, validityOf(target), cause);
  });
  readMutations(readRefusal);
}
function submitted(event) {
  const form = event.composedPath()[0];
  if (!(form instanceof HTMLFormElement) || isMarked(form, "ignore")) return;
  const id = newId();
  const cause = causeNow();
  beginDispatch(id, event);
  const target = describe(form);
  record("form_submit", { valid: form.matches(":valid") }, { eventId: id, cause, target: { ...target, type: "form" } });
  const button = event.submitter;
  noteAction(id, pressOf(cause) ?? id, button ?? form, button ? describe(button) : target);
  noteTry(id);
  later(() => event.defaultPrevented || noteFormSent(form, button, id), 0);
}
var reportedForms = /* @__PURE__ */ new WeakMap();
function noteInvalidForm(field, cause) {
  const { form } = field;
  if (!form || reportedForms.get(form) === cause) return;
  reportedForms.set(form, cause);
  record("form_submit", { valid: false }, { cause, target: { ...describe(form), type: "form" } });
}
function validityOf({ validity }) {
  for (const rule in validity) {
    if (rule !== "valid" && validity[rule]) return rule;
  }
  return "invalid";
}
var MARKS = "[aria-invalid=true],[role=alert],.errorlist";
var ERROR_WORD = /err|invalid|danger|fail|warn/i;
function readRefusal({ type, target, attributeName, addedNodes }) {
  if (!lastTry || Date.now() - lastTry.at > REFUSED_MS) return;
  const element = target instanceof Element ? target : target.parentElement;
  if (attributeName === "aria-invalid") refuseMarked(element, lastTry.id);
  if (type === "attributes") return;
  const around = element?.closest("[role=alert],.errorlist");
  if (around) refuseMarked(around, lastTry.id);
  for (const node of addedNodes) {
    if (node instanceof Element) refuseWithin(node, lastTry.id);
  }
}
function refuseWithin(root, cause) {
  for (const mark of [root, ...[...root.querySelectorAll(MARKS)].slice(0, 20)]) refuseMarked(mark, cause);
}
function refuseMarked(mark, cause) {
  const alert = mark.matches("[role=alert]");
  const words = mark.className + " " + mark.firstElementChild?.className;
  if (!mark.matches(MARKS) || alert && !(ERROR_WORD.test(words) && mark.textContent?.trim())) return;
  refuse(mark, alert ? "alert" : mark.matches(".errorlist") ? "errorlist" : "aria-invalid", cause);
}
var reportRefusedForm = (cause) => refuseWithin(document.body, cause);

// src/network.ts
var LARGEST_BODY = 64 << 10;
var open = /* @__PURE__ */ new Set();
function begin(method, url) {
  const address2 = new URL(String(url), document.baseURI);
  if (address2.href.startsWith(endpoint) || !/^https?:$/.test(address2.protocol)) return void 0;
  const request2 = {
    method: String(method || "GET").toUpperCase(),
    address: address2,
    began: Date.now(),
    cause: causeNow(),
    thirdParty: !isOwnHost(address2.host)
  };
  open.add(request2);
  return request2;
}
function end(request2, { status, aborted = false, bodyError }, at = Date.now()) {
  if (!request2 || !open.delete(request2)) return;
  const { method, address: address2, began, cause, thirdParty } = request2;
  const url = address2.pathname.slice(0, 1024);
  const failed2 = !aborted && (status === 0 || status >= 400 || !!bodyError);
  const metadata = { method, url, status, durationMs: at - began, aborted, thirdParty, bodyError: bodyError || void 0 };
  record("network", metadata, { cause, timestamp: at }, failed2);
  if (status !== void 0 && !aborted && !thirdParty) noteOutcome({ method, url, status, failed: failed2, cause, began });
}
function startNetwork() {
  wrap(window, "fetch", (call, _, [input, init2]) => {
    const request2 = safely(() => {
      const given = input instanceof Request ? input : void 0;
      return begin(init2?.method ?? given?.method, given?.url ?? input);
    })();
    const answer = call();
    if (!request2 || typeof answer?.then !== "function") return answer;
    const signal = init2?.signal ?? input.signal;
    const arrived = safely((response) => readAnswer(request2, response));
    const failed2 = safely(
      (reason) => end(request2, { status: 0, aborted: !!signal?.aborted || reason?.name === "AbortError" })
    );
    if (answer.constructor !== Promise || Object.keys(answer).length) {
      answer.then(arrived, failed2);
      return answer;
    }
    return answer.then(
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
  wrapXhr();
  wrap(navigator, "sendBeacon", (call, _, [url]) => {
    const request2 = safely(begin)("POST", url);
    const queued = call();
    safely(end)(request2, { status: queued ? void 0 : 0 });
    return queued;
  });
}
function readAnswer(request2, response) {
  const at = Date.now();
  const { status, type } = response;
  if (type.startsWith("opaque")) return end(request2, { status: void 0 }, at);
  const length = Number(response.headers.get("Content-Length") ?? 0);
  if (!response.ok || request2.thirdParty || !isJson(response.headers.get("Content-Type")) || length > LARGEST_BODY) {
    return end(request2, { status }, at);
  }
  readText(response.clone()).then(
    safely((text) => end(request2, { status, bodyError: hasErrors(text) }, at)),
    safely(() => end(request2, { status }, at))
  );
}
var isJson = (type) => /[/+]json\s*(;|$)/i.test(type ?? "");
async function readText(response) {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (; ; ) {
    const part = await reader?.read();
    if (!part || part.done) return text;
    text += decoder.decode(part.value, { stream: true });
    if (text.length > LARGEST_BODY) {
      void reader.cancel();
      return "";
    }
  }
}
function hasErrors(text) {
  if (!text.includes('"errors"')) return false;
  try {
    const { errors } = JSON.parse(text);
    return Array.isArray(errors) && errors.length > 0;
  } catch {
    return false;
  }
}
function wrapXhr() {
  const calls2 = /* @__PURE__ */ new WeakMap();
  wrap(XMLHttpRequest.prototype, "open", (call, self, [method, url]) => {
    calls2.set(self, { method, url });
    return call();
  });
  wrap(XMLHttpRequest.prototype, "send", (call, self) => {
    safely(() => {
      const xhr = self;
      const opened = calls2.get(xhr);
      const request2 = opened && begin(opened.method, opened.url);
      let aborted = false;
      if (request2) {
        listen(xhr, "abort", () => {
          aborted = true;
        });
        listen(xhr, "loadend", () => end(request2, { status: xhr.status, aborted, bodyError: xhrHasErrors(xhr, request2) }));
      }
    })();
    return call();
  });
}
function xhrHasErrors(xhr, { thirdParty }) {
  if (thirdParty || xhr.status >= 300 || !isJson(xhr.getResponseHeader("Content-Type"))) return false;
  if (xhr.responseType === "json") return Array.isArray(xhr.response?.errors) && xhr.response.errors.length > 0;
  return /^(text)?$/.test(xhr.responseType) && xhr.responseText.length <= LARGEST_BODY && hasErrors(xhr.responseText);
}
function abortOpen() {
  for (const request2 of [...open]) end(request2, { status: 0, aborted: true });
}

// src/lifecycle.ts
function startLifecycle() {
  joinTabs();
  listen(document, "visibilitychange", () => {
    if (document.hidden) answered();
    record("visibility", { state: document.visibilityState });
    if (document.hidden) flushHidden();
  });
  listen(window, "pagehide", ({ persisted }) => {
    answered();
    abortOpen();
    announce("bye");
    if (!persisted && !leaving.elsewhere && isLastTab()) record("session_end", {});
    state.running &&= persisted;
    flushHidden();
  });
  listen(window, "pageshow", ({ persisted }) => persisted && announce("hello"));
}

// src/performance.ts
var LONG_TASK_MS = 200;
var SLOW_INTERACTION_MS = 500;
var AFTER_ACTION_MS = 1e3;
var lastAction = -Infinity;
function startPerformance() {
  listen(window, "click keydown", ({ timeStamp }) => {
    lastAction = timeStamp;
  });
  watch2("longtask", {}, (entry) => {
    const near = entry.startTime - lastAction < AFTER_ACTION_MS && entry.startTime + entry.duration >= lastAction;
    if (near && entry.duration > LONG_TASK_MS) measure("long_task", entry.duration, entry.startTime + entry.duration);
  });
  const interactions = /* @__PURE__ */ new Set();
  watch2("event", { durationThreshold: SLOW_INTERACTION_MS }, (entry) => {
    const { interactionId } = entry;
    if (!interactionId || interactions.has(interactionId)) return;
    interactions.add(interactionId);
    measure("slow_response", entry.duration, entry.startTime + entry.duration);
  });
  if (document.readyState === "complete") measureLoad();
  else listen(window, "load", () => later(measureLoad, 0));
}
function watch2(type, more, use) {
  new PerformanceObserver((list) => list.getEntries().forEach(safely(use))).observe({ type, buffered: true, ...more });
}
function measureLoad() {
  const [entry] = performance.getEntriesByType("navigation");
  if (entry?.loadEventEnd) measure("page_load", entry.loadEventEnd, entry.loadEventEnd);
}
function measure(kind, duration, at) {
  record("performance", { kind, durationMs: Math.round(duration) }, { timestamp: Math.round(performance.timeOrigin + at) });
}

// src/presses.ts
var SAME_PLACE_MS = 2e3;
var SAME_PLACE_PX = 12;
var TOUCH_CLICK_MS = 400;
var pending;
var last;
var labelled;
function startPresses() {
  listen(window, "pointerdown", (event) => {
    if (!event.isPrimary || event.button !== 0 || !event.isTrusted) return;
    pending = locate(event);
    if (pending) beginDispatch(pending.id, event);
  });
  listen(window, "pointerup", (event) => {
    const press = pending;
    if (!press || !event.isPrimary || !event.isTrusted) return;
    beginDispatch(press.id, event);
    const swallowed = () => {
      if (pending !== press) return;
      pending = void 0;
      if (press.disabled || isDisabled(press.control)) finish(press, event, true);
    };
    later(swallowed, event.pointerType === "touch" ? TOUCH_CLICK_MS : 0);
  });
  listen(window, "pointercancel dragstart", () => {
    pending = void 0;
  });
  listen(window, "keydown", (event) => {
    interacted();
    if (/^(Enter| )$/.test(event.key) && event.isTrusted && !event.repeat) pending = locate(event);
    if (pending) beginDispatch(pending.id, event);
  });
  listen(window, "click", (event) => {
    if (!event.isTrusted) return;
    const [hit] = event.composedPath();
    if (labelled && hit === labelled) {
      labelled = void 0;
      return;
    }
    const press = claim(event);
    if (press) finish(press, event, press.disabled);
  });
}
function claim(event) {
  const press = pending;
  pending = void 0;
  const found = findControl(event.composedPath());
  if (press && (press.control === found || press.obscured || press.disabled || !press.control.isConnected)) return press;
  return locate(event);
}
function finish(press, event, disabled) {
  last = press;
  press.at = Date.now();
  beginDispatch(press.id, event);
  noteLabel(press.control, event);
  if (isMarked(press.control, "ignore")) return;
  const click = record("click", describeClick(press, event, disabled), { eventId: press.id, target: press.target });
  noteAction(press.id, press.id, press.control, press.target);
  if (!isField(press.control)) noteTry(press.id);
  if (click) watchClick(press.watched, click);
}
function noteLabel(control, event) {
  labelled = event.composedPath().includes(control) ? void 0 : control;
  later(() => labelled = void 0, 0);
}
function describeClick(press, event, disabled) {
  const { control } = press;
  const keyboard = event.type === "click" && !event.detail && !event.pointerType;
  const selected = getSelection();
  const keys = ["alt", "ctrl", "meta", "shift"].filter((key) => event[`${key}Key`]).join("+");
  return {
    x: Math.round(event.clientX),
    y: Math.round(event.clientY),
    clickCount: event.detail || 1,
    inputMethod: keyboard ? "keyboard" : (event.pointerType || press.pointer) === "touch" ? "touch" : "mouse",
    disabled,
    loading: !!control.closest("[aria-busy=true]") || !!control.querySelector("[role=progressbar],[class*=spinner]"),
    selection: !!selected && selected.type === "Range",
    obscured: press.obscured || void 0,
    modifiers: keys || void 0
  };
}
var isDisabled = (element) => !!element.closest(":disabled,[aria-disabled=true]");
function locate(event) {
  let control = findControl(event.composedPath());
  if (!control) return void 0;
  const { clientX: x = 0, clientY: y = 0 } = event;
  const before = "clientX" in event && lastAt(x, y);
  const switchedOff = !isControl(control) && "clientX" in event && findSwitchedOff(control, x, y) || void 0;
  const covered = before && before.control !== control && !isControl(control) && covers(before.control, x, y);
  if (switchedOff) control = switchedOff;
  else if (covered) control = before.control;
  interacted();
  return {
    id: newId(),
    control,
    // Its name may change while it works: "Add", "Adding…".
    target: before && before.control === control ? before.target : describe(control),
    x,
    y,
    at: Date.now(),
    disabled: !!switchedOff || isDisabled(control),
    obscured: !!covered && !switchedOff,
    pointer: event.pointerType,
    watched: watch(control)
  };
}
function lastAt(x, y) {
  const near = last && Date.now() - last.at < SAME_PLACE_MS && Math.hypot(last.x - x, last.y - y) <= SAME_PLACE_PX;
  return near ? last : void 0;
}

// src/index.ts
var base;
var installed = false;
var isBot = () => navigator.webdriver || /bot|crawl|spider|headless|lighthouse|prerender/i.test(navigator.userAgent);
var consented = false;
function start() {
  const { consent: consent2 } = options;
  if (!options.key || consent2 === "required" && !consented) return;
  const stored = consent2 !== "memory" || consented;
  startSession(stored);
  if (!isSampled()) return;
  if (stored) openStore(resume);
  state.running = true;
  if (installed) return;
  installed = true;
  for (const part of [startObserver, startResponded, startPresses, startForms, startNetwork, startErrors, startNavigation, startPerformance, startLifecycle, startDelivery]) safely(part)();
}
function recordOutcome(name, failed2, reason) {
  const url = "/" + String(name).slice(0, 128);
  const metadata = { method: "APP", url, status: 200, durationMs: 0, bodyError: failed2, reason: reason?.slice(0, 200) };
  record("network", metadata, { cause: causeNow() }, failed2);
}
var calls = {
  init(chosen) {
    if (options.key || !chosen.key || isBot()) return;
    setOptions(chosen, base);
    state.user = chosen.user ?? state.user;
    start();
  },
  user(id) {
    state.user = id === void 0 ? void 0 : String(id);
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
      clearQueue();
      forgetSession();
      forgetStore();
    }
  },
  session: () => state.running ? sessionId() : "",
  stop() {
    state.running = false;
    stopObserver();
  }
};
var guarded = Object.fromEntries(
  Object.entries(calls).map(([name, call]) => [name, safely(call)])
);
var furrow = {
  ...guarded,
  version: "furrow-browser/0.1.0",
  push(...queued) {
    for (const [name, ...args] of queued) guarded[name]?.(...args);
  }
};
function servedFrom(address2) {
  base = address2;
}
var { init, user, page, achieved, failed, consent, session: session2, stop } = furrow;
export {
  achieved,
  consent,
  failed,
  furrow,
  init,
  page,
  servedFrom,
  session2 as session,
  stop,
  user
};
