/** One observer of what changes in the page, shadow roots included, for all who ask. */

import { readRefusal } from "./forms";
import { Observer, safely, wrap } from "./guard";
import { state } from "./record";
import { readMutation } from "./responded";

/** Inlined by the build. */
const enum Limit {
  MOST_READ = 200,
}

const observer = new Observer(
  safely((mutations: MutationRecord[]) => {
    for (const mutation of mutations.slice(0, Limit.MOST_READ)) {
      readMutation(mutation);
      readRefusal(mutation);
    }
  }),
);

/** Observed twice, a root is observed once. */
export const observe = (root: Node): void => {
  if (state.$running) observer.observe(root, { subtree: true, childList: true, characterData: true, attributeOldValue: true });
};

export const startObserver = (): void => {
  observe(document);
  wrap(Element.prototype, "attachShadow", () => observe);
};

export const stopObserver = (): void => observer.disconnect();
