/** One observer of what changes in the page, shadow roots included, for all who ask. */

import { Observer, safely, wrap } from "./guard";

type Reader = (mutation: MutationRecord) => void;

/** Inlined by the build. */
const enum Limit {
  MOST_READ = 200,
}

const WATCHED: MutationObserverInit = { subtree: true, childList: true, characterData: true, attributes: true, attributeOldValue: true };
const readers: Reader[] = [];
const seen = new WeakSet<Node>();

const observer = new Observer(
  safely((mutations: MutationRecord[]) => {
    for (const mutation of mutations.slice(0, Limit.MOST_READ)) {
      for (const read of readers) read(mutation);
    }
  }),
);

export function readMutations(read: Reader): void {
  readers.push(read);
}

export function observe(root: Node): void {
  if (seen.has(root)) return;
  seen.add(root);
  observer.observe(root, WATCHED);
}

export function startObserver(): void {
  observe(document);
  wrap(Element.prototype, "attachShadow", (call) => {
    const root = call();
    safely(observe)(root as ShadowRoot);
    return root;
  });
}

export function stopObserver(): void {
  observer.disconnect();
}
