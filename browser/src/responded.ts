/** Did the page answer a click? Something that the person could see, or asked for, changed within a second.
 *
 * Yes, no, or unknown. A request that begins is no answer, nor is what the pressed control does to itself (a ripple, a spinner),
 * nor what moves by itself. What is not certain leaves the answer unknown.
 */

import { isField } from "./control";
import { later, listen, wrap } from "./guard";
import { observe, readMutations } from "./mutations";
import { amend } from "./delivery";
import { record } from "./record";
import type { SentEvent } from "./types";

/** Inlined by the build. */
const enum Limit {
  ANSWER_MS = 1_000,
  MEMORY_MS = 15_000,
  STEP_MS = 200,
  MOVES_BY_ITSELF = 5,
}

export interface Watch {
  control: Element;
  click: SentEvent | undefined;
  answered: boolean;
  unclear: boolean;
}

/** Watches of presses of the last second. */
const watches = new Set<Watch>();
let lastInteraction = -Infinity;

export function interacted(): void {
  lastInteraction = performance.now();
}

/** Watches from the press on, for menus open before the click comes. */
export function watch(control: Element): Watch {
  const made = { control, click: undefined, answered: false, unclear: isField(control) || control.matches("canvas,video,audio,iframe,object,embed") };
  for (let at: Node = control.getRootNode(); at instanceof ShadowRoot; at = at.host.getRootNode()) observe(at);
  watches.add(made);
  later(() => made.click || watches.delete(made), 2 * Limit.ANSWER_MS);
  return made;
}

export function watchClick(made: Watch, click: SentEvent): void {
  made.click = click;
  watches.add(made);
  if (made.answered) decide(made, true);
  else later(() => decide(made, false), Limit.ANSWER_MS);
}

function decide(made: Watch, responded: boolean): void {
  const { click } = made;
  if (!watches.delete(made) || !click || (!responded && isUnknowable(made))) return;
  if (!amend(click, { responded })) record("verdict", { responded }, { verdictFor: click.eventId });
}

/** What is drawn on a canvas, or in another page's frame, is not seen. */
const isUnknowable = (made: Watch): boolean => made.unclear || document.hidden || !!document.querySelector("canvas,iframe[src],object,embed");

/** The page answered what was pressed within the last second. */
export function answered(): void {
  watches.forEach(settle);
}

function settle(made: Watch): void {
  made.answered = true;
  if (made.click) decide(made, true);
}

interface Movement {
  /** Of its changes without the person: the last one, the last that was counted, and how many were. Milliseconds. */
  last: number;
  counted: number;
  times: number;
}

const movements = new WeakMap<Node, Movement>();

function noteMovement(node: Node | null, now: number): void {
  if (!node || node === document.body || node === document.documentElement || node === document) return;
  const known = movements.get(node);
  const again = known && now - known.last < Limit.MEMORY_MS;
  const step = !again || now - known.counted > Limit.STEP_MS;
  movements.set(node, { last: now, counted: step ? now : known!.counted, times: (again ? known.times : 0) + +step });
}

/** "itself": a carousel, a clock. "perhaps": it changed without the person in the second before. */
function movesBy(node: Node | null, now: number): "itself" | "perhaps" | undefined {
  const known = node ? movements.get(node) : undefined;
  if (!known || now - known.last > Limit.MEMORY_MS) return undefined;
  return known.times >= Limit.MOVES_BY_ITSELF ? "itself" : now - known.last < 2 * Limit.ANSWER_MS ? "perhaps" : undefined;
}

/** State that an element shows of itself while it is pressed or works: no answer. */
const OWN_STATE = /^(disabled|aria-disabled|aria-busy|tabindex|data-focus.*|data-(whatinput|whatintent|active|pressed|hover).*)$/;
const OWN_CLASS = /focus|hover|active|press|ripple|wave|touch|mouse|keyboard|tabbing|intent|loading|busy|disabled|pending|submitting|spin/i;
const CHOICE = /^(aria-(pressed|checked|selected|expanded)|open)$/;
const UNSEEN = "script,style,link,meta,title,noscript,template,base,head,head *";

function readMutation(mutation: MutationRecord): void {
  const now = performance.now();
  const { target } = mutation;
  const element = target instanceof Element ? target : target.parentElement;
  if (document.readyState === "loading") interacted(); // by the parser, for the person who opened the page
  if (watches.size === 0 && now - lastInteraction < Limit.ANSWER_MS) return;
  const moving = [target, element, element?.parentElement ?? null];
  if (watches.size === 0) return moving.forEach((node) => noteMovement(node, now));
  if (element && !isSeen(mutation, element)) return;
  const kind = moving.map((node) => movesBy(node, now)).sort()[0];
  if (kind === "itself") return moving.forEach((node) => movements.has(node!) && noteMovement(node, now));
  for (const made of [...watches]) {
    if (kind || (element && made.control.contains(element) && !CHOICE.test(mutation.attributeName ?? ""))) made.unclear = true;
    else settle(made);
  }
}

/** Whether a person could see this change. */
function isSeen(mutation: MutationRecord, element: Element): boolean {
  const { type, attributeName, oldValue } = mutation;
  if (element.matches(UNSEEN)) return false;
  if (type === "attributes") {
    const value = element.getAttribute(attributeName!);
    if (value === oldValue || OWN_STATE.test(attributeName!)) return false;
    if (attributeName === "class" && changedWords(oldValue ?? "", value ?? "").every((word) => OWN_CLASS.test(word))) return false;
  }
  if (type === "childList") {
    const nodes = [...mutation.addedNodes, ...mutation.removedNodes];
    if (!nodes.some((node) => (node instanceof Element ? !node.matches(UNSEEN) && !OWN_CLASS.test(node.getAttribute("class") ?? "") : node.nodeValue?.trim()))) return false;
  }
  return element.checkVisibility?.() ?? true;
}

function changedWords(before: string, after: string): string[] {
  const [old, now] = [before, after].map((text) => text.split(/\s+/));
  return [...old!.filter((word) => !now!.includes(word)), ...now!.filter((word) => !old!.includes(word))].filter(Boolean);
}

export function startResponded(): void {
  readMutations(readMutation);
  listen<FocusEvent>(window, "focusin", ({ target }) => {
    // A button that is pressed gets the focus itself.
    if (target instanceof Element && [...watches].every(({ control }) => control !== target && !control.contains(target) && !target.contains(control))) answered();
  });
  listen(window, "wheel touchmove", interacted);
  listen(window, "input", interacted);
  listen<Event>(window, "scroll", ({ target }) => {
    const now = performance.now();
    const node = target as Node;
    if (watches.size === 0) {
      if (now - lastInteraction > Limit.ANSWER_MS) noteMovement(node, now);
    } else if (!movesBy(node, now)) answered();
  });
  listen(window, "play copy cut fullscreenchange toggle change", answered);
  listen<Event>(window, "click", ({ target, isTrusted }) => {
    // A script opens a file chooser, or saves a file.
    if (!isTrusted && target instanceof Element && target.matches("input[type=file],a[download],a[href^='blob:']")) answered();
  });
  // The window lost the focus to a dialog, a file chooser, another tab or window.
  listen<FocusEvent>(window, "blur", ({ target }) => target === window && answered());
  listen(document, "load", answered); // a frame or an image
  for (const name of ["alert", "confirm", "prompt", "print", "open"]) answerBy(window, name);
  if (window.Clipboard) for (const name of ["write", "writeText"]) answerBy(Clipboard.prototype, name);
}

function answerBy(owner: object, name: string): void {
  wrap(owner, name, (call) => {
    answered();
    return call();
  });
}
