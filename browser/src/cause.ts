/** In whose dispatch does the page's code run right now? The answer is certain, or there is none.
 *
 * A dispatch begins at the window, in the capture phase, and ends with a task of its own: its listeners, what they await that
 * is ready, and its default action (submit, navigation) come before that task. A timer that was due already may come before
 * it, too; it is told apart by `window.event`, which is set during listeners and their microtasks alone.
 */

import { later } from "./guard";

interface Dispatch {
  id: string;
  /** Whether `window.event` shows it: not for clicks that a script makes, and not within shadow trees. */
  $shown: boolean;
  /** One press is several dispatches: the end of one is not the end of the next. */
  $turn: number;
}

const currentEvent = Object.getOwnPropertyDescriptor(window, "event")?.get;
const channel = new MessageChannel();
let current: Dispatch | undefined;
let ended: Dispatch | undefined;
let turns = 0;

channel.port1.onmessage = (event: MessageEvent<number>) => {
  if (-event.data === ended?.$turn) ended = undefined;
  else endDispatch(event.data);
};

const endDispatch = (turn: number): void => {
  if (current?.$turn !== turn) return;
  // Its rejected promises are reported by the tasks that are queued now: it is remembered for one task more.
  ended = current;
  current = undefined;
  channel.port2.postMessage(-turn);
};

export const beginDispatch = (id: string, event: Event): void => {
  const turn = ++turns;
  // Within a shadow tree, the window sees the tree's host as the target. After the dispatch, there is no path.
  const [hit = event.target] = event.composedPath();
  current = { id, $shown: event.isTrusted && hit === event.target, $turn: turn };
  channel.port2.postMessage(turn);
  // WebKit runs timers before messages: this one comes before those that the listeners set.
  later(() => endDispatch(turn));
};

/** The id of the event that causes what happens now. */
export const causeNow = (): string | undefined => (current?.$shown && currentEvent && !currentEvent.call(window) ? undefined : current?.id);

/** The same for a rejection, which is reported right after the dispatch. */
export const causeOfRejection = (): string | undefined => current?.id ?? ended?.id;
