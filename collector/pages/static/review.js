// The review pages: keyboard, copy, local times, live refresh. Everything can be read, and every action taken, without it.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("script");
  const find = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const SHOWN = { dateStyle: "medium", timeStyle: "short" };
  let chosen = "";
  let held = false; // the keyboard was in the part that is being drawn anew

  function showLocalTimes(within) {
    for (const time of all("time.local", within)) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.getTime())) time.textContent = at.toLocaleString(undefined, SHOWN);
    }
  }

  function rows() {
    return all("[data-row], .event-row");
  }

  function choose(row) {
    for (const other of rows()) other.classList.toggle("on", other === row);
    if (!row) return;
    chosen = row.dataset.row || "";
    const link = find("a", row);
    if (link) link.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  }

  function move(step) {
    const known = rows();
    const now = known.findIndex((row) => row.classList.contains("on"));
    const next = now < 0 ? (step > 0 ? 0 : known.length - 1) : Math.min(Math.max(now + step, 0), known.length - 1);
    choose(known[next]);
  }

  function prepareAction(key) {
    const button = find(`button[data-key="${key}"]`);
    if (!button) return false;
    const form = button.form;
    if (form.classList.contains("list") && !find("input.pick:checked", form)) {
      const box = find("tr.on input.pick", form);
      if (!box) return false;
      box.checked = true;
    }
    for (const other of all("button[data-key]", form)) other.classList.toggle("armed", other === button);
    if (button.formNoValidate && all("input.pick:checked", form).length === 2) form.requestSubmit(button);
    else find(button.dataset.focus || "[name=reason]", form).focus();
    return true;
  }

  function follow(selector) {
    const link = find(selector);
    if (link) link.click();
  }

  const keys = {
    j: () => move(1),
    k: () => move(-1),
    x: () => {
      const box = find("tr.on input.pick");
      if (box) box.checked = !box.checked;
    },
    u: () => follow("[data-up]"),
    "[": () => follow("[data-previous]"),
    "]": () => follow("[data-next]"),
    "/": () => {
      const search = find("#q");
      if (search) search.select();
    },
    "?": () => {
      const help = find("#keys");
      if (help) help.showModal();
    },
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const field = event.target.closest("input:not([type=checkbox]), select, textarea");
    if (field) {
      if (event.key === "Escape") {
        event.preventDefault(); // the browser would empty the search
        field.blur();
      }
      if (event.key === "Enter" && (field.name === "reason" || field.name === "assignee")) {
        // Whoever writes a name means to assign; Enter must not press the first button of the form.
        const armed = field.name === "assignee" ? find("button[data-focus]", field.form) : find("button.armed", field.form);
        if (armed) {
          event.preventDefault();
          field.form.requestSubmit(armed);
        }
      }
      return;
    }
    if (find("dialog[open]")) return;
    const done = keys[event.key] ? (keys[event.key](), true) : prepareAction(event.key);
    if (done) event.preventDefault();
  });

  document.addEventListener("click", async (event) => {
    if (event.target.closest("[data-keys]")) keys["?"]();
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      const label = copy.textContent;
      try {
        await navigator.clipboard.writeText(find(`#${copy.dataset.copy}`).textContent);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(find(`#${copy.dataset.copy}`));
        copy.textContent = "Selected: press Ctrl-C";
      }
      setTimeout(() => (copy.textContent = label), 2000);
    }
  });

  document.addEventListener("htmx:configRequest", (event) => {
    const parameters = event.detail.parameters;
    for (const name of Object.keys(parameters)) if (parameters[name] === "") delete parameters[name];
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    held = event.detail.target.contains(document.activeElement);
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    showLocalTimes(event.detail.target);
    const row = chosen && rows().find((known) => known.dataset.row === chosen);
    if (!row) return;
    row.classList.add("on");
    const link = find("a", row);
    if (held && link) link.focus({ preventScroll: true });
  });
  document.addEventListener("htmx:pushedIntoHistory", () => {
    const list = find("#list");
    if (list) list.setAttribute("hx-get", location.pathname + location.search);
    const saved = find("[data-filters]"); // the view that would be saved is the one that is seen
    if (saved) saved.value = location.search.slice(1);
  });
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status === 401) location.reload();
  });

  // The list is asked for again while it is seen and nobody is choosing in it.
  setInterval(() => {
    const list = find("#list");
    const busy = find("input.pick:checked") || (document.activeElement && document.activeElement.name === "reason");
    if (list && !busy && document.visibilityState === "visible" && window.htmx) window.htmx.trigger(list, "refresh-list");
  }, 30000);

  async function watchForEvents() {
    const line = find("[data-waiting]");
    if (!line || document.visibilityState !== "visible") return;
    const answer = await fetch("/health.json", { headers: { accept: "application/json" } });
    if (!answer.ok) return;
    const stored = (await answer.json()).status.eventsStored;
    if (stored) {
      line.classList.add("arrived");
      find("span", line).textContent = `${stored.toLocaleString()} events have arrived. An incident appears when people fail at the same place.`;
    }
  }
  setInterval(() => watchForEvents().catch(() => {}), 3000);

  // A link to a moment (`#t=1500`) that is not in the shown part of a session leads to the part that has it.
  function findMoment() {
    const moment = /^#t=(-?\d{1,12})$/.exec(location.hash);
    if (!moment || location.pathname !== "/session" || document.getElementById(location.hash.slice(1))) return;
    const address = new URL(location.href);
    if (address.searchParams.get("at") === moment[1]) return;
    address.searchParams.delete("from");
    address.searchParams.set("at", moment[1]);
    location.replace(address);
  }
  window.addEventListener("hashchange", findMoment);

  showLocalTimes(document);
  findMoment();
  watchForEvents().catch(() => {});
})();
