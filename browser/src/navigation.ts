/** Pages that are shown: loaded, pushed, replaced, gone back to, and what led to them. */

import { causeNow } from "./cause";
import { later, listen, safely, wrap } from "./guard";
import { record } from "./record";
import { answered } from "./responded";
import { currentRoute, routeOf } from "./route";
import { leaveNote, takeNote, type Note } from "./session";
import { isOwnHost } from "./options";
import { reportRefusedForm } from "./forms";

/** Inlined by the build. */
const enum Limit {
  /** How long a page may take to come after the form or link that asked for it. */
  NOTE_MS = 60_000,
}

type Kind = "link" | "push" | "replace" | "back_forward" | "reload" | undefined;
let shown = "";
let address = "";

const { navigation } = window as { navigation?: EventTarget };

/** Whether the page itself began to load another one: then its end is not the end of the session. Browsers without the
 * Navigation API do not say; there, sessions end with time. */
export const leaving = { elsewhere: !navigation };

/** Entries of the history at the last move. */
let entries = 0;

function visit(navigationType: Kind, from: string | undefined, cause: string | undefined): void {
  shown = currentRoute();
  address = location.href;
  entries = history.length;
  record("navigation", { navigationType, from }, { cause });
}

function moved(kind: Kind): void {
  if (location.href === address) return;
  const onlyFragment = address.split("#")[0] === location.href.split("#")[0];
  address = location.href;
  entries = history.length;
  answered();
  if (currentRoute() !== shown) visit(kind === "push" && onlyFragment ? "link" : kind, shown, causeNow());
}

/** The application names its route itself. */
export function routeNamed(): void {
  if (currentRoute() !== shown) visit("push", shown || undefined, causeNow());
}

function followHistory(): void {
  const kinds: Record<string, Kind> = { push: "push", replace: "replace", traverse: "back_forward", reload: "reload" };
  if (navigation) {
    listen<Event & { navigationType: string | null }>(navigation, "currententrychange", ({ navigationType }) => moved(kinds[navigationType ?? "replace"]));
    listen<NavigateEvent>(navigation, "navigate", noteNavigation);
    return;
  }
  for (const [method, kind] of [["pushState", "push"], ["replaceState", "replace"]] as const) {
    wrap(history, method, (call) => {
      const result = call();
      safely(moved)(kind);
      return result;
    });
  }
  // WebKit also sends it for links and scripts that set the fragment: these add an entry.
  listen(window, "popstate", () => moved(history.length === entries ? "back_forward" : "link"));
  listen(window, "hashchange", () => moved("link"));
}

interface NavigateEvent extends Event {
  destination: { url: string; sameDocument: boolean };
  formData: FormData | null;
  downloadRequest: string | null;
  navigationType: string;
}

function noteNavigation({ destination, downloadRequest, navigationType }: NavigateEvent): void {
  if (destination.sameDocument || downloadRequest !== null) return;
  leaving.elsewhere = isOwnHost(new URL(destination.url).host) || navigationType === "reload";
  answered();
  noteLeaving(causeNow());
}

/** What the person asked for last, a link or a form: browsers may begin to load it in a later task. */
let asked: { form?: Note["form"]; cause: string | undefined; at: number } | undefined;

/** Before another page of the application is loaded: what caused it. */
function noteLeaving(cause?: string): void {
  const recent = asked && Date.now() - asked.at < 1_000 ? asked : undefined;
  leaveNote({ cause: cause ?? recent?.cause, route: shown, form: recent?.form, at: Date.now() });
}

/** A form is sent by loading a page. */
export function noteFormSent(form: HTMLFormElement, submitter: Element | null, cause: string): void {
  const value = (name: string) => submitter?.getAttribute("form" + name) || form.getAttribute(name) || "";
  const path = new URL(value("action"), document.baseURI).pathname;
  asked = { form: { path, method: (value("method") || "GET").toUpperCase() }, cause, at: Date.now() };
  noteLeaving(cause);
}

/** A link to a page of the application, or out of it or to a file: then the page may stay, and nothing else shows it. */
function followLinks(): void {
  listen<MouseEvent>(window, "click", (event) => {
    const link = event.composedPath().find((part): part is HTMLAnchorElement => part instanceof HTMLAnchorElement && !!part.href);
    if (!link) return;
    const { protocol, host } = new URL(link.href);
    const download = link.hasAttribute("download");
    const external = !/^https?:$/.test(protocol) || !isOwnHost(host);
    const cause = causeNow();
    // After the dispatch: by then the page has stopped the click, or not.
    if (!download && !external) {
      const here = /^(_self)?$/.test(link.target) && !event.ctrlKey && !event.metaKey && !event.shiftKey && link.pathname + link.search !== location.pathname + location.search;
      if (here) later(() => event.defaultPrevented || noteLeaving((asked = { cause, at: Date.now() }).cause), 0);
      return;
    }
    later(() => event.defaultPrevented || /^(javascript|blob):$/.test(protocol) || record("navigation", { navigationType: "link", external, download: download || undefined }, { cause }), 0);
  });
}

/** How the visitor came to this page, and how the server answered. */
function arrive(): void {
  const [entry] = performance.getEntriesByType("navigation") as (PerformanceNavigationTiming & { responseStatus?: number })[];
  const note = takeNote();
  const led = note && Date.now() - note.at < Limit.NOTE_MS && entry?.type === "navigate" ? note : undefined;
  const referrer = document.referrer ? new URL(document.referrer) : undefined;
  const from = led?.route ?? (referrer?.host === location.host ? routeOf(referrer) : undefined);
  const kinds: Record<string, Kind> = { reload: "reload", back_forward: "back_forward" };
  reportAnswer(entry, led);
  visit(kinds[entry?.type ?? ""] ?? (from ? "link" : undefined), from, led?.cause);
  if (!led?.form) return;
  if (document.readyState === "loading") listen(document, "DOMContentLoaded", () => reportRefusedForm(led.cause));
  else reportRefusedForm(led.cause);
}

/** The page itself was the answer: of a form, or an error page. */
function reportAnswer(entry: (PerformanceNavigationTiming & { responseStatus?: number }) | undefined, led: Note | undefined): void {
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
      thirdParty: false,
    },
    {
      cause: led?.cause,
      timestamp: Math.round(performance.timeOrigin + entry.responseStart),
      ...(form && led ? { route: led.route } : {}),
    },
    status >= 400,
  );
}

export function startNavigation(): void {
  followHistory();
  followLinks();
  arrive();
  listen<PageTransitionEvent>(window, "pageshow", ({ persisted }) => {
    leaving.elsewhere = !navigation;
    if (persisted) visit("back_forward", undefined, undefined);
  });
  listen(document, "prerenderingchange", () => visit("link", undefined, undefined));
}

