/** Did the page answer a click? Something that the person could see, or asked for, changed within a second.
 *
 * Yes, no, or unknown. A request that begins is no answer, nor is what the pressed control does to itself (a ripple, a spinner),
 * nor what moves by itself. What is not certain leaves the answer unknown.
 */

import { isField } from "./control";
import { elementOf, isElement, withHosts } from "./dom";
import { later, listen, wrap } from "./guard";
import { observe } from "./mutations";
import { amend } from "./delivery";
import { record } from "./record";
import type { SentEvent } from "./types";

/** Inlined by the build. */
const enum Limit {
  ANSWER_MS = 1_000,
  /** A press waits this long for its click; a change this long before a press makes its answer unclear. */
  NEAR_MS = 2_000,
  MEMORY_MS = 15_000,
  STEP_MS = 200,
  MOVES_BY_ITSELF = 5,
}

export interface Watch {
  control: Element;
  click?: SentEvent;
  $answered?: boolean;
  $unclear: boolean;
}

/** Watches of presses of the last second. */
const watches = new Set<Watch>();
let lastInteraction = -Infinity;

export const interacted = (): void => {
  lastInteraction = performance.now();
};

/** What is drawn on a canvas, or in another page's frame, is not seen. The frame comes last: `[src]` is added to it. */
const DRAWN = "canvas,object,embed,iframe";

/** Watches from the press on, for menus open before the click comes. */
export const watch = (control: Element): Watch => {
  const made: Watch = { control, $unclear: isField(control) || control.matches(DRAWN + ",video,audio") };
  withHosts(control).forEach((at) => observe(at.getRootNode()));
  watches.add(made);
  later(() => made.click || watches.delete(made), Limit.NEAR_MS);
  return made;
};

export const watchClick = (made: Watch, click: SentEvent): void => {
  made.click = click;
  watches.add(made);
  if (made.$answered) decide(made, true);
  else later(() => decide(made, false), Limit.ANSWER_MS);
};

const decide = (made: Watch, responded: boolean): void => {
  const click = made.click!;
  if (!watches.delete(made) || !click || (!responded && (made.$unclear || document.hidden || document.querySelector(DRAWN + "[src]")))) return;
  if (!amend(click, { responded })) record("verdict", { responded }, { verdictFor: click.eventId });
};

/** The page answered what was pressed within the last second. */
export const answered = (): void => {
  watches.forEach(settle);
};

const settle = (made: Watch): void => {
  made.$answered = true;
  if (made.click) decide(made, true);
};

interface Movement {
  /** Of its changes without the person: the last one, the last that was counted, and how many were. Milliseconds. */
  last: number;
  $counted: number;
  $times: number;
}

const movements = new WeakMap<Node, Movement>();

const noteMovement = (node: Node | null, now: number): void => {
  if (!node || node.contains(document.body)) return;
  const known = movements.get(node);
  const again = known && now - known.last < Limit.MEMORY_MS;
  const step = !again || now - known.$counted > Limit.STEP_MS;
  movements.set(node, { last: now, $counted: step ? now : known!.$counted, $times: again ? known.$times + +step : 1 });
};

const enum Moves {
  ONLY_NOW,
  /** It changed without the person in the second before. */
  PERHAPS,
  /** A carousel, a clock. */
  ITSELF,
}

const movesBy = (node: Node | null, now: number): Moves => {
  const known = movements.get(node!);
  const ago = known ? now - known.last : Infinity;
  return ago > Limit.MEMORY_MS ? Moves.ONLY_NOW : known!.$times >= Limit.MOVES_BY_ITSELF ? Moves.ITSELF : +(ago < Limit.NEAR_MS);
};

/** State that an element shows of itself while it is pressed or works: no answer. */
const OWN_STATE = /^((aria-)?disabled|aria-busy|tabindex|data-(focus|whatin|active|pressed|hover).*)$/;
const OWN_CLASS = /focus|hover|active|press|ripple|wave|touch|mouse|keyboard|tabbing|intent|loading|busy|disabled|pending|submitting|spin/i;
const CHOICE = /^(aria-(pressed|checked|selected|expanded)|open)$/;
const UNSEEN = "script,style,noscript,template,link,meta,title,base,head,head *";

export const readMutation = (mutation: MutationRecord): void => {
  const now = performance.now();
  const target = mutation.target;
  const element = elementOf(target);
  if (document.readyState === "loading") interacted(); // by the parser, for the person who opened the page
  const moving = [target, element, element?.parentElement!];
  if (!watches.size) {
    if (now - lastInteraction >= Limit.ANSWER_MS) moving.forEach((node) => noteMovement(node, now));
    return;
  }
  if (element && !isSeen(mutation, element)) return;
  const kind = Math.max(...moving.map((node) => movesBy(node, now)));
  if (kind === Moves.ITSELF) return moving.forEach((node) => movements.has(node!) && noteMovement(node, now));
  for (const made of [...watches]) {
    if (kind || (element && made.control.contains(element) && !CHOICE.test(mutation.attributeName!))) made.$unclear = true;
    else settle(made);
  }
};

/** Whether a person could see this change. */
const isSeen = (mutation: MutationRecord, element: Element): boolean => {
  const { attributeName, oldValue } = mutation;
  if (element.matches(UNSEEN)) return false;
  if (attributeName) {
    const [old, now] = [oldValue, element.getAttribute(attributeName)].map((text) => (text ?? "").split(/\s+/)) as [string[], string[]];
    if (element.getAttribute(attributeName) === oldValue || OWN_STATE.test(attributeName)) return false;
    if (attributeName === "class" && ![...old, ...now].some((word) => word && old.includes(word) !== now.includes(word) && !OWN_CLASS.test(word))) return false;
  }
  const nodes = [...mutation.addedNodes, ...mutation.removedNodes];
  if (nodes.length && !nodes.some((node) => (isElement(node) ? !node.matches(UNSEEN) && !OWN_CLASS.test(node.getAttribute("class")!) : node.nodeValue?.trim()))) return false;
  return element.checkVisibility?.() ?? true;
};

export const startResponded = (): void => {
  listen<FocusEvent>(window, "focusin", ({ target }) => {
    // A button that is pressed gets the focus itself.
    if (isElement(target) && [...watches].every((made) => !made.control.contains(target) && !target.contains(made.control))) answered();
  });
  listen(window, "wheel touchmove input", interacted);
  listen<Event>(window, "scroll", ({ target }) => {
    const now = performance.now();
    if (watches.size) movesBy(target as Node, now) || answered();
    else if (now - lastInteraction > Limit.ANSWER_MS) noteMovement(target as Node, now);
  });
  listen(window, "play copy cut fullscreenchange toggle change", answered);
  listen<Event>(window, "click", ({ target, isTrusted }) => {
    // A script opens a file chooser, or saves a file.
    if (!isTrusted && isElement(target) && target.matches("input[type=file],a[download],a[href^='blob:']")) answered();
  });
  // The window lost the focus to a dialog, a file chooser, another tab or window.
  listen<FocusEvent>(window, "blur", ({ target }) => target === window && answered());
  listen(document, "load", answered); // a frame or an image
  wrap(window, "alert confirm prompt print open", answered);
  wrap(window.Clipboard?.prototype, "write writeText", answered);
};
