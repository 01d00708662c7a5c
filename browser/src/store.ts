/** What could not be sent waits in IndexedDB, so that it outlives the tab. */

import { safely } from "./guard";
import type { Item } from "./delivery";

/** Inlined by the build. */
const enum Limit {
  NAME = "furrow",
}

let database: IDBDatabase | undefined;

/** Opens it in advance: when the page is left, there is time to write and none to open. */
export const openStore = (ready: () => void): void => {
  try {
    const opening = indexedDB.open(Limit.NAME, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(Limit.NAME, { autoIncrement: true });
    opening.onsuccess = () => {
      database = opening.result;
      ready();
    };
  } catch {
    // Storage is refused: what waits lives as long as the page.
  }
};

const rows = () => database?.transaction(Limit.NAME, "readwrite").objectStore(Limit.NAME);

/** Whether the events are kept here from now on. */
export const park = (items: Item[]): boolean =>
  !!items.length && !!safely(() => rows()?.add(items.map(({ text, urgent }) => ({ text, urgent }))))();

/** Hands over what waits and removes it, in one transaction: two tabs never take the same. */
export const unpark = (use: (items: Item[]) => void): void => {
  const waiting = rows();
  if (!waiting) return use([]);
  const reading = waiting.getAll() as IDBRequest<Item[][]>;
  waiting.clear();
  reading.onsuccess = safely(() => use(reading.result.flat()));
};

/** Deletes what waits here, also of pages before this one. Where the store is open, it is empty at once, and stays open. */
export const forgetStore = (): void => {
  rows()?.clear();
  indexedDB.deleteDatabase(Limit.NAME);
};
