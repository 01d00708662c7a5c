/** The rule of *blocked* within the page: the same action of a person failed again within 30 s. */

import { isField } from "./control";
import { noteTry } from "./forms";
import { options } from "./options";
import type { Blocked, Target } from "./types";

/** Inlined by the build. */
const enum Limit {
  AGAIN_MS = 30_000,
  ACTIONS_KEPT = 20,
  FAILURES_KEPT = 50,
}

interface Action {
  id: string;
  /** The press that led to it: a submit is the same try as the click on its button. */
  $press: string;
  element: Element;
  target: Target;
  at: number;
}

interface Failure {
  $press: string;
  attempts: number;
  at: number;
}

/** Newest first. */
const actions: Action[] = [];
const failures = new Map<string, Failure>();

export const noteAction = (id: string, press: string, element: Element, target: Target): void => {
  actions.unshift({ id, $press: press, element, target, at: Date.now() });
  if (!isField(element)) noteTry(id);
  actions.splice(Limit.ACTIONS_KEPT);
};

export const pressOf = (id: string | undefined): string | undefined => actions.find((action) => action.id === id)?.$press;

/** `began`: epoch milliseconds. */
export const noteOutcome = (request: Blocked["request"], status: number, failed: boolean, cause: string | undefined, began: number): void => {
  const action = actions.find((one) => (cause ? one.id === cause : one.at <= began + 50 && began - one.at <= 1_000));
  if (!action) return;
  const control = action.target;
  const { method, url } = request;
  const name = [method, url.replace(/\d+/g, "#"), control.id, control.label, control.selector].join();
  const known = failures.get(name);
  if (failed && known?.$press === action.$press) return;
  failures.delete(name);
  if (!failed) return;
  const attempts = known && action.at - known.at <= Limit.AGAIN_MS ? known.attempts + 1 : 1;
  if (failures.size > Limit.FAILURES_KEPT) failures.clear();
  failures.set(name, { $press: action.$press, attempts, at: Date.now() });
  if (attempts > 1) announceBlocked(action.element, { request: { method, url }, status, attempts, control });
};

const announceBlocked = (element: Element, detail: Blocked): void => {
  const target: EventTarget = element.isConnected ? element : document;
  // In a task of its own and unguarded: an error of the page's handler is the page's, and reported as such.
  setTimeout(() => {
    target.dispatchEvent(new CustomEvent("furrow:blocked", { detail, bubbles: true, composed: true }));
    options.onBlocked?.(detail);
  });
};
