/** What could not be sent waits in IndexedDB, so that it outlives the tab. */

import { safely } from "./guard";
import type { Item } from "./delivery";

const NAME = "furrow";
let database: IDBDatabase | undefined;

/** Opens it in advance: when the page is left, there is time to write and none to open. */
export function openStore(ready: () => void): void {
  try {
    const opening = indexedDB.open(NAME, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(NAME, { autoIncrement: true });
    opening.onsuccess = () => {
      database = opening.result;
      ready();
    };
  } catch {
    // Storage is refused: what waits lives as long as the page.
  }
}

const rows = () => database?.transaction(NAME, "readwrite").objectStore(NAME);

/** Whether the events are kept here from now on. */
export function park(items: Item[]): boolean {
  if (!items.length) return false;
  return !!safely(() => rows()?.add(items.map(({ text, urgent }) => ({ text, urgent }))))();
}

/** Hands over what waits and removes it, in one transaction: two tabs never take the same. */
export function unpark(use: (items: Item[]) => void): void {
  const waiting = rows();
  if (!waiting) return use([]);
  const reading = waiting.getAll() as IDBRequest<Item[][]>;
  reading.onsuccess = safely(() => {
    waiting.clear();
    use(reading.result.flat());
  });
}

export function forgetStore(): void {
  rows()?.clear();
}
