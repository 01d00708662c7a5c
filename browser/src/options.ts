/** The options of this page, and what follows from them. */

import { withHosts } from "./dom";
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
export const isOwnHost = (address: { host: string; hostname: string }): boolean => {
  const bare = (name: string) => "." + name.replace(/^www\./, "");
  const mine = bare(location.hostname);
  const other = bare(address.hostname);
  // Not `.co.uk`: a short part before the last belongs to the registry.
  const domain = /\.[^.]{4,}\.[^.]+$/.exec(mine)?.[0] ?? mine;
  return address.host === location.host || !!options.ownHosts?.includes(address.host) || (!/^[\d.]+$|\[/.test(mine) && (other.endsWith(domain) || mine.endsWith(other)));
};

/** Whether the element, or one around it, carries `data-furrow-<mark>` or is chosen by the option of that name. */
export const isMarked = (element: Element, mark: "ignore" | "mask"): boolean => {
  return withHosts(element).some((at) => at.closest(`[data-furrow-${mark}],${options[mark] || "_"}`));
};
