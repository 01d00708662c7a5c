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
const original = <Owner extends object, Name extends keyof Owner & string>(owner: Owner, name: Name): Owner[Name] => {
  const zone = (window as { Zone?: { __symbol__?: (name: string) => string } }).Zone;
  return (owner as Record<string, Owner[Name] | undefined>)[zone?.__symbol__?.(name)!] || owner[name];
};

const addListener = original(EventTarget.prototype, "addEventListener");
const timer = original(window, "setTimeout");
export const Observer = original(window as Window & typeof globalThis, "MutationObserver");
export const pageFetch = original(window, "fetch");

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

/** Calls `run` in place of the functions `names` of `owner`. A Proxy keeps name, length, properties and the text "[native code]". An owner that
 * is frozen itself, or has no such function, stays as it is. */
export const wrap = (owner: object | undefined, names: string, run: (call: () => unknown, self: object, args: unknown[]) => unknown): void => {
  for (const name of names.split(" ")) {
    try {
      const value = new Proxy((owner as Record<string, () => unknown>)[name]!, {
        apply: (native, self: object, args: []) => run(() => Reflect.apply(native, self, args), self, args),
      });
      // Defined, not assigned: `history` takes it although its prototype is frozen.
      Object.defineProperty(owner, name, { value, writable: true, enumerable: true, configurable: true });
    } catch {
      // It stays as it is.
    }
  }
};
