/** The route of the page: the application's word, or the path; a fragment that begins with `#/` is a path, too. */

import { safely } from "./guard";
import { options } from "./options";

let named: { route: string; address: string } | undefined;

export function nameRoute(route: string): void {
  named = { route: route.slice(0, 512), address: location.href };
}

export function currentRoute(): string {
  if (named?.address === location.href) return named.route;
  const chosen = options.route && safely(options.route)(new URL(location.href));
  return typeof chosen === "string" ? chosen.slice(0, 512) : routeOf(location);
}

export function routeOf(address: { pathname: string; hash: string }): string {
  const fragment = /^#!?\/[^?]*/.exec(address.hash)?.[0] ?? "";
  return (address.pathname + fragment).slice(0, 512);
}
