// `usePathname` and `useParams` as https://nextjs.org/docs/app/api-reference/functions describes them: catch-all segments are lists.
import { useSyncExternalStore } from "react";

const PATTERNS = [[/^\/orders\/([^/]+)$/, ["id"]], [/^\/shop\/([^/]+)\/([^/]+)$/, ["category", "slug"]], [/^\/files\/(.+)$/, ["path"]]];
const listeners = new Set();
const subscribe = (listener) => { listeners.add(listener); return () => listeners.delete(listener); };

export const goTo = (href) => { history.pushState(null, "", href); listeners.forEach((listener) => listener()); };
export const usePathname = () => useSyncExternalStore(subscribe, () => location.pathname);
export const useParams = () => {
  const pathname = usePathname();
  for (const [pattern, names] of PATTERNS) {
    const found = pattern.exec(pathname);
    if (found) return Object.fromEntries(names.map((name, n) => [name, name === "path" ? found[n + 1].split("/") : found[n + 1]]));
  }
  return {};
};
