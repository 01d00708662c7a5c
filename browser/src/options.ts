/** The options of this page, and what follows from them. */

import { hostOf } from "./dom";
import type { Options } from "./types";

export let options: Options = { key: "" };
export let endpoint = "";

/** The script's own address: the collector that served it also takes its events. A module may be part of any other script. */
const served = IS_SCRIPT && (document.currentScript as HTMLScriptElement | null)?.src;

export const setOptions = (chosen: Options): void => {
  options = chosen;
  const address = new URL(chosen.url || new URL("v1/events", served || location.href), location.href);
  if (address.pathname === "/") address.pathname = "/v1/events";
  endpoint = address.href;
};

/** Whether a host is the application's: the page's own, one above or below it, one of the same domain, or a named one. */
export const isOwnHost = (host: string): boolean => {
  const page = location.host;
  if (host === page || options.ownHosts?.includes(host)) return true;
  const [mine, other] = [page, host].map((name) => name.replace(/^www\./, "").replace(/:\d+$/, ""));
  if (!mine || !other || /^[\d.]+$|^\[/.test(mine)) return false;
  const domain = /[^.]{4,}\.[^.]+$/.exec(mine)?.[0] ?? mine; // not `co.uk`: a short part before the last belongs to the registry
  return ("." + other).endsWith("." + domain) || ("." + mine).endsWith("." + other);
};

/** Whether the element, or one around it, carries `data-furrow-<mark>` or is chosen by the option of that name. */
export const isMarked = (element: Element, mark: "ignore" | "mask"): boolean => {
  const selector = [`[data-furrow-${mark}]`, options[mark]].filter(Boolean).join();
  for (let at: Element | null = element; at; at = hostOf(at)) {
    if (at.closest(selector)) return true;
  }
  return false;
};
