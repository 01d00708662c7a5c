/** What could not be sent waits in IndexedDB, so that it outlives the tab. */

const NAME = "furrow";

export interface Parked {
  text: string;
  urgent: boolean;
}

let allowed = false;

export function allowStore(allow: boolean): void {
  allowed = allow;
}

function open(use: (store: IDBObjectStore) => void): boolean {
  try {
    if (!allowed) return false;
    const opening = indexedDB.open(NAME, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(NAME, { autoIncrement: true });
    opening.onsuccess = () => {
      const database = opening.result;
      const transaction = database.transaction(NAME, "readwrite");
      transaction.oncomplete = transaction.onabort = () => database.close();
      use(transaction.objectStore(NAME));
    };
    return true;
  } catch {
    return false; // storage is refused: what waits lives as long as the page
  }
}

export const park = (items: Parked[]): boolean => open((store) => store.add(items));

/** Hands over what waits and removes it, in one transaction: two tabs never take the same. */
export function unpark(use: (items: Parked[]) => void): void {
  open((store) => {
    const reading = store.getAll() as IDBRequest<Parked[][]>;
    reading.onsuccess = () => {
      if (reading.result.length) {
        store.clear();
        use(reading.result.flat());
      }
    };
  });
}

export function forgetStore(): void {
  open((store) => store.clear());
}
