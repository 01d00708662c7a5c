/** The rule of *blocked* within the page: the same action of a person failed again within 30 s. */

import { options } from "./options";
import type { Target } from "./types";

/** Inlined by the build. */
const enum Limit {
  AGAIN_MS = 30_000,
  ACTIONS_KEPT = 20,
  FAILURES_KEPT = 50,
}

interface Action {
  /** The press that led to it: a submit is the same try as the click on its button. */
  press: string;
  element: Element;
  target: Target;
  at: number;
}

interface Failure {
  press: string;
  attempts: number;
  at: number;
}

export interface Outcome {
  method: string;
  url: string;
  status: number;
  failed: boolean;
  cause: string | undefined;
  /** Epoch milliseconds. */
  began: number;
}

const actions = new Map<string, Action>();
const failures = new Map<string, Failure>();

export function noteAction(id: string, press: string, element: Element, target: Target): void {
  actions.set(id, { press, element, target, at: Date.now() });
  if (actions.size > Limit.ACTIONS_KEPT) actions.delete(actions.keys().next().value!);
}

export const pressOf = (id: string | undefined): string | undefined => (id ? actions.get(id)?.press : undefined);

export function noteOutcome(outcome: Outcome): void {
  const action = outcome.cause ? actions.get(outcome.cause) : lastBefore(outcome.began);
  if (!action) return;
  const { method, url, status } = outcome;
  const name = [method, url.replace(/\d+/g, "#"), action.target.id, action.target.label, action.target.selector].join(" ");
  if (!outcome.failed) {
    failures.delete(name);
    return;
  }
  const now = Date.now();
  const known = failures.get(name);
  if (known && known.press === action.press) return;
  const again = known && action.at - known.at <= Limit.AGAIN_MS;
  const attempts = again ? known.attempts + 1 : 1;
  failures.delete(name);
  failures.set(name, { press: action.press, attempts, at: now });
  if (failures.size > Limit.FAILURES_KEPT) failures.delete(failures.keys().next().value!);
  if (again) announceBlocked(action, { request: { method, url }, status, attempts, control: action.target });
}

function lastBefore(began: number): Action | undefined {
  return [...actions.values()].reverse().find(({ at }) => at <= began + 50 && began - at <= 1_000);
}

function announceBlocked(action: Action, blocked: import("./types").Blocked): void {
  const target: EventTarget = action.element.isConnected ? action.element : document;
  // In a task of its own and unguarded: an error of the page's handler is the page's, and reported as such.
  setTimeout(() => {
    target.dispatchEvent(new CustomEvent("furrow:blocked", { detail: blocked, bubbles: true, composed: true }));
    options.onBlocked?.(blocked);
  });
}
