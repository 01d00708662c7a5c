/** Nothing of this script may reach the page: what throws in it is caught here, counted, and sent as `faults` of a batch. */

export const faults = { count: 0 };

export function safely<Args extends unknown[], Result>(work: (...args: Args) => Result) {
  return (...args: Args): Result | undefined => {
    try {
      return work(...args);
    } catch {
      faults.count++;
      return undefined;
    }
  };
}

/** The browser's own function where Zone.js has replaced it: Angular would draw the page anew after each of our timers. */
function original<Owner extends object, Name extends keyof Owner & string>(owner: Owner, name: Name): Owner[Name] {
  const zone = (window as { Zone?: { __symbol__?: (name: string) => string } }).Zone;
  return (zone?.__symbol__ && (owner as Record<string, Owner[Name]>)[zone.__symbol__(name)]) || owner[name];
}

const addListener = original(EventTarget.prototype, "addEventListener");
const timer = original(window, "setTimeout");
export const Observer = original(window as Window & typeof globalThis, "MutationObserver");
export const pageFetch = original(window, "fetch");

/** Listens in the capture phase, so that no handler of the page can hide an event. */
export function listen<Kind extends Event>(target: EventTarget, types: string, work: (event: Kind) => void): void {
  for (const type of types.split(" ")) {
    addListener.call(target, type, safely(work) as (event: Event) => void, { capture: true, passive: true });
  }
}

export function later(work: () => void, milliseconds: number): number {
  return timer(safely(work), milliseconds) as unknown as number;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Callable = (...args: any[]) => any;

/** Calls `run` in place of `owner[name]`. A Proxy keeps name, length, properties and the text "[native code]". An owner that
 * is frozen itself stays as it is; the result says whether it worked. */
export function wrap(owner: object, name: string, run: (call: () => unknown, self: unknown, args: unknown[]) => unknown): boolean {
  try {
    const holder = owner as Record<string, Callable>;
    const wrapped = holder[name];
    if (!wrapped) return false;
    // Defined, not assigned: `history` takes it although its prototype is frozen.
    const value = new Proxy(wrapped, {
      apply: (native, self, args: unknown[]) => run(() => Reflect.apply(native, self, args), self, args),
    });
    Object.defineProperty(owner, name, { value, writable: true, enumerable: true, configurable: true });
    return true;
  } catch {
    return false;
  }
}
