/** The options of this page, and what follows from them. */

import type { Options } from "./types";

export let options: Options = { key: "" };
export let endpoint = "";

/** `base` is the script's own address: the collector that served it also takes its events. */
export function setOptions(chosen: Options, base?: string): void {
  options = chosen;
  const address = new URL(chosen.url || new URL("v1/events", base || location.href), location.href);
  if (address.pathname === "/") address.pathname = "/v1/events";
  endpoint = address.href;
}

/** Whether a host is the application's: the page's own, one above or below it, one of the same domain, or a named one. */
export function isOwnHost(host: string): boolean {
  const page = location.host;
  if (host === page || options.ownHosts?.includes(host)) return true;
  const [mine, other] = [page, host].map((name) => name.replace(/^www\./, "").replace(/:\d+$/, ""));
  if (!mine || !other || /^[\d.]+$|^\[/.test(mine)) return false;
  const domain = /[^.]{4,}\.[^.]+$/.exec(mine)?.[0]; // not `co.uk`: a short part before the last belongs to the registry
  return [mine, domain].some((name) => name && (name === other || other.endsWith("." + name))) || mine.endsWith("." + other);
}

/** Whether the element, or one around it, carries `data-furrow-<mark>` or is chosen by the option of that name. */
export function isMarked(element: Element, mark: "ignore" | "mask"): boolean {
  const chosen = options[mark];
  const selector = `[data-furrow-${mark}]` + (chosen ? "," + chosen : "");
  for (let at: Element | null = element; at; at = hostOf(at)) {
    if (at.closest(selector)) return true;
  }
  return false;
}

/** The element whose shadow tree holds `element`. */
export function hostOf(element: Element): Element | null {
  const root = element.getRootNode();
  return root instanceof ShadowRoot ? root.host : null;
}
