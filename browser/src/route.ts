/** The route of the page: the application's word, or the path; a fragment that begins with `#/` is a path, too. */

import { safely } from "./guard";
import { options } from "./options";

let named: { route: string; address: string } | undefined;

export const nameRoute = (route: string): void => {
  named = { route, address: location.href };
};

export const currentRoute = (): string => {
  const chosen = named?.address === location.href ? named.route : safely(() => options.route?.(new URL(location.href)))();
  return typeof chosen === "string" ? chosen.slice(0, 512) : routeOf(location);
};

export const routeOf = (address: { pathname: string; hash: string }): string => {
  return (address.pathname + (/^#!?\/[^?]*/.exec(address.hash) ?? "")).slice(0, 512);
};
