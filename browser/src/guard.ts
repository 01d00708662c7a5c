/** Nothing of this script may reach the page: what throws in it is caught here, counted, and sent as `faults` of a batch. */

export let faults = 0;

export const safely = <Args extends unknown[], Result>(work: (...args: Args) => Result) => {
  return (...args: Args): Result | undefined => {
    try {
      return work(...args);
    } catch {
      faults++;
      return undefined;
    }
  };
};

/** The browser's own function where Zone.js has replaced it: Angular would draw the page anew after each of our timers. */
const original = <Name extends "addEventListener" | "setTimeout" | "MutationObserver" | "fetch">(name: Name): (typeof globalThis)[Name] => {
  const page = window as typeof globalThis & { Zone?: { __symbol__?: (name: string) => Name } };
  return page[page.Zone?.__symbol__?.(name)!] ?? page[name];
};

const addListener = original("addEventListener");
const timer = original("setTimeout");
export const Observer = original("MutationObserver");
export const pageFetch = original("fetch");

/** Listens in the capture phase, so that no handler of the page can hide an event. */
export const listen = <Kind extends Event>(target: EventTarget, types: string, work: (event: Kind) => void): void => {
  for (const type of types.split(" ")) {
    addListener.call(target, type, safely(work) as (event: Event) => void, { capture: true, passive: true });
  }
};

/** In a task of its own where no time is named: after the dispatch of the event that is handled now. */
export const later = (work: () => void, milliseconds = 0): void => {
  timer(safely(work), milliseconds);
};

/** Calls `before` before the functions `names` of `owner`, and what it returns after them, with their result: what that returns is the
 * result then. A Proxy keeps name, length, properties and the text "[native code]". An owner that is frozen itself, or has no such
 * function, stays as it is. */
export const wrap = <Result>(owner: object | undefined, names: string, before: (self: object, args: unknown[]) => void | ((result: Result) => Result | void)): void => {
  for (const name of names.split(" ")) {
    try {
      const value = new Proxy((owner as Record<string, () => unknown>)[name]!, {
        apply(native, self: object, args: []) {
          const after = safely(before)(self, args);
          const result = Reflect.apply(native, self, args) as Result;
          return (after && safely(after)(result)) ?? result;
        },
      });
      // Defined, not assigned: `history` takes it although its prototype is frozen.
      Object.defineProperty(owner, name, { value, writable: true, enumerable: true, configurable: true });
    } catch {
      // It stays as it is.
    }
  }
};
