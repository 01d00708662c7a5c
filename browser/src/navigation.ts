/** Pages that are shown: loaded, pushed, replaced, gone back to, and what led to them. */

import { causeNow } from "./cause";
import { isWeb } from "./dom";
import { later, listen, wrap } from "./guard";
import { record } from "./record";
import { answered } from "./responded";
import { currentRoute, routeOf } from "./route";
import { announce, leaveNote, takeNote, type Note } from "./session";
import { isOwnHost } from "./options";
import { reportRefusedForm } from "./forms";

/** Inlined by the build. */
const enum Limit {
  /** The browser begins to load a page within this time after the form or link that asked for it, however long it takes. */
  BEGIN_MS = 1_000,
}

let shown = "";
let address = "";

const { navigation } = window as { navigation?: EventTarget };

/** Whether the page itself began to load another one: then its end is not the end of the session. Browsers without the
 * Navigation API do not say; there, sessions end with time. */
export let leavesElsewhere = !navigation;

/** Entries of the history at the last move. */
let entries = 0;

const visit = (navigationType: string | undefined, from?: string, cause?: string): void => {
  shown = currentRoute();
  noteAddress();
  record("navigation", { navigationType, from }, { cause });
};

const noteAddress = (): void => {
  address = location.href;
  entries = history.length;
};

const moved = (kind: string): void => {
  const before = address;
  noteAddress();
  if (before === address) return;
  const onlyFragment = before.split("#")[0] === address.split("#")[0];
  answered();
  if (currentRoute() !== shown) visit(kind === "push" && onlyFragment ? "link" : kind, shown, causeNow());
};

/** The application names its route itself. */
export const routeNamed = (): void => {
  if (currentRoute() !== shown) visit("push", shown || undefined, causeNow());
};

const followHistory = (): void => {
  if (navigation) {
    listen<Event & { navigationType: string | null }>(navigation, "currententrychange", ({ navigationType }) => moved(navigationType === "traverse" ? "back_forward" : navigationType || "replace"));
    listen<NavigateEvent>(navigation, "navigate", noteNavigation);
    return;
  }
  for (const kind of ["push", "replace"]) {
    wrap(history, kind + "State", () => () => moved(kind));
  }
  // WebKit also sends it for links and scripts that set the fragment: these add an entry.
  listen(window, "popstate", () => moved(history.length === entries ? "back_forward" : "link"));
  listen(window, "hashchange", () => moved("link"));
};

interface NavigateEvent extends Event {
  destination: { url: string; sameDocument: boolean };
  formData: FormData | null;
  downloadRequest: string | null;
  navigationType: string;
}

/** What the person asked for last, a link or a form: browsers may begin to load it in a later task. */
let asked: Note | undefined;

/** Before another page of the application is loaded by a link or a form: what caused it. */
const ask = (cause: string | undefined, form?: Note["form"]): void => {
  leaveNote((asked = { cause, form, route: shown, at: Date.now() }));
};

const noteNavigation = (event: NavigateEvent): void => {
  if (event.destination.sameDocument || event.downloadRequest !== null) return;
  leavesElsewhere = isOwnHost(new URL(event.destination.url)) || event.navigationType === "reload";
  answered();
  const at = Date.now();
  const cause = causeNow();
  leaveNote({ ...(asked && at - asked.at < Limit.BEGIN_MS && asked), ...(cause && { cause }), route: shown, at } as Note);
};

/** A form is sent by loading a page. */
export const noteFormSent = (form: HTMLFormElement, submitter: Element | null, cause: string): void => {
  const value = (name: string) => submitter?.getAttribute("form" + name) || form.getAttribute(name) || "";
  ask(cause, { path: new URL(value("action"), document.baseURI).pathname, method: (value("method") || "GET").toUpperCase() });
};

/** A link to a page of the application, or out of it or to a file: then the page may stay, and nothing else shows it. */
const followLinks = (): void => {
  listen<MouseEvent>(window, "click", (event) => {
    const link = event.composedPath().find((part) => part instanceof HTMLAnchorElement && part.href) as HTMLAnchorElement | undefined;
    if (!link) return;
    const { protocol } = link;
    const download = link.hasAttribute("download") || undefined;
    const external = !isWeb(link) || !isOwnHost(link);
    // Another tab may load it, too: then nothing comes here, and the note is too old for the next page.
    const loads = link.pathname + link.search !== location.pathname + location.search;
    const cause = causeNow();
    // After the dispatch: by then the page has stopped the click, or not.
    later(() => {
      if (event.defaultPrevented) return;
      if (download || external) /^(javascript|blob):$/.test(protocol) || record("navigation", { navigationType: "link", external, download }, { cause });
      else if (loads) ask(cause);
    });
  });
};

type Arrival = PerformanceNavigationTiming & { responseStatus?: number };

/** How the visitor came to this page, and how the server answered. */
const arrive = (): void => {
  const [entry] = performance.getEntriesByType("navigation") as Arrival[];
  const type = entry?.type!;
  const note = takeNote();
  // A page whose loading began later was opened otherwise: what the form got ran no script (an error page of the browser or a proxy).
  const led = note && Math.abs(Date.now() - performance.now() - note.at) < Limit.BEGIN_MS && type === "navigate" ? note : undefined;
  const referrer = document.referrer ? new URL(document.referrer) : undefined;
  const from = led?.route ?? (referrer?.host === location.host ? routeOf(referrer) : undefined);
  if (entry) reportAnswer(entry, led);
  visit(/^(reload|back_forward)$/.test(type) ? type : from && "link", from, led?.cause);
  if (!led?.form) return;
  if (document.readyState === "loading") listen(window, "DOMContentLoaded", () => reportRefusedForm(led.cause));
  else reportRefusedForm(led.cause);
};

/** The page itself was the answer: of a form, or an error page. */
const reportAnswer = (entry: Arrival, led: Note | undefined): void => {
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
      thirdParty: false,
    },
    {
      cause: led?.cause,
      timestamp: Math.round(performance.timeOrigin + responseStart),
      ...(form && { route: led!.route }),
    },
    status >= 400,
  );
};

export const startNavigation = (): void => {
  followHistory();
  followLinks();
  arrive();
  listen<PageTransitionEvent>(window, "pageshow", (event) => {
    leavesElsewhere = !navigation;
    if (!event.persisted) return;
    announce("hello");
    visit("back_forward");
  });
  listen(window, "prerenderingchange", () => visit("link"));
};

