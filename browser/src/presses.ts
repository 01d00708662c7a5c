/** What a person presses: clicks, and presses that a switched-off control swallowed. */

import { beginDispatch } from "./cause";
import { covers, describe, findControl, findSwitchedOff, isControl } from "./control";
import { hitBy } from "./dom";
import { later, listen } from "./guard";
import { isMarked } from "./options";
import { record } from "./record";
import { newId } from "./session";
import { interacted, watch, watchClick, type Watch } from "./responded";
import { noteAction } from "./blocked";
import type { Target } from "./types";

interface Press {
  id: string;
  control: Element;
  target: Target;
  x: number;
  y: number;
  /** Epoch milliseconds. */
  at: number;
  disabled: boolean;
  obscured: boolean;
  $pointer: string;
  $watched: Watch;
}

/** Inlined by the build. */
const enum Limit {
  /** A second press at the same place within this time is meant for what was there at the first. */
  SAME_PLACE_MS = 2_000,
  SAME_PLACE_PX = 12,
  /** After a touch, browsers may wait for a second tap before they send the click. */
  TOUCH_CLICK_MS = 400,
}

/** The press whose click has not come yet. */
let pending: Press | undefined;
let last: Press | undefined;
/** The field whose label was clicked: its own click follows and is the same. */
let labelled: Element | undefined;

export const startPresses = (): void => {
  listen<PointerEvent>(window, "pointerdown", (event) => {
    if (event.isPrimary && event.isTrusted && !event.button) beginPress(event, true);
  });
  listen<PointerEvent>(window, "pointerup", (event) => {
    const press = pending;
    if (!press || !event.isPrimary || !event.isTrusted) return;
    beginDispatch(press.id, event);
    const swallowed = () => {
      if (pending !== press) return;
      pending = undefined;
      if ((press.disabled ||= isDisabled(press.control))) finish(press, event);
    };
    later(swallowed, event.pointerType === "touch" ? Limit.TOUCH_CLICK_MS : 0);
  });
  listen(window, "pointercancel dragstart", () => {
    pending = undefined;
  });
  listen<KeyboardEvent>(window, "keydown", (event) => {
    interacted();
    beginPress(event, event.isTrusted && !event.repeat && /^(Enter| )$/.test(event.key));
  });
  listen<PointerEvent>(window, "click", (event) => {
    if (!event.isTrusted) return;
    if (labelled && hitBy(event) === labelled) labelled = undefined;
    else {
      const press = claim(event);
      if (press) finish(press, event);
    }
  });
};

const beginPress = (event: PointerEvent | KeyboardEvent, isNew: boolean): void => {
  if (isNew) pending = locate(event);
  if (pending) beginDispatch(pending.id, event);
};

/** The press that this click completes; a new one where a keyboard or a screen reader clicks. */
const claim = (event: PointerEvent): Press | undefined => {
  const press = pending;
  pending = undefined;
  const found = findControl(event.composedPath());
  // A control that was drawn anew under the finger: the click reaches what is around it.
  if (press && (press.control === found || press.obscured || press.disabled || !press.control.isConnected)) return press;
  return locate(event);
};

const finish = (press: Press, event: PointerEvent): void => {
  last = press;
  press.at = Date.now();
  beginDispatch(press.id, event);
  labelled = event.composedPath().includes(press.control) ? undefined : press.control;
  later(() => (labelled = undefined));
  if (isMarked(press.control, "ignore")) return;
  const click = record("click", describeClick(press, event), { eventId: press.id, target: press.target });
  noteAction(press.id, press.id, press.control, press.target);
  if (click) watchClick(press.$watched, click);
};

const describeClick = (press: Press, event: PointerEvent) => {
  return {
    x: Math.round(event.clientX),
    y: Math.round(event.clientY),
    clickCount: event.detail || 1,
    inputMethod: event.type === "click" && !event.detail && !event.pointerType ? "keyboard" : (event.pointerType || press.$pointer) === "touch" ? "touch" : "mouse",
    disabled: press.disabled,
    loading: !!(press.control.closest("[aria-busy=true]") ?? press.control.querySelector("[role=progressbar],[class*=spinner]")),
    selection: getSelection()?.type === "Range",
    obscured: press.obscured || undefined,
    modifiers: (["alt", "ctrl", "meta", "shift"] as const).filter((key) => event[`${key}Key`]).join("+") || undefined,
  };
};

const isDisabled = (element: Element): boolean => !!element.closest(":disabled,[aria-disabled=true]");

/** The control that a person means with a press at this place, now. */
const locate = (event: PointerEvent | KeyboardEvent | MouseEvent): Press | undefined => {
  const hit = findControl(event.composedPath());
  if (!hit) return undefined;
  const x = (event as PointerEvent).clientX;
  const y = (event as PointerEvent).clientY;
  const before = last && Date.now() - last.at < Limit.SAME_PLACE_MS && Math.hypot(last.x - x, last.y - y) <= Limit.SAME_PLACE_PX ? last : undefined;
  const switchedOff = !isControl(hit) && findSwitchedOff(hit, x, y);
  const covered = !isControl(hit) && !switchedOff && before && before.control !== hit && covers(before.control, x, y);
  const control = switchedOff || (covered ? before.control : hit);
  interacted();
  return {
    id: newId(),
    control,
    // Its name may change while it works: "Add", "Adding…".
    target: before?.control === control ? before.target : describe(control),
    x,
    y,
    at: Date.now(),
    disabled: !!switchedOff || isDisabled(control),
    obscured: !!covered,
    $pointer: (event as PointerEvent).pointerType,
    $watched: watch(control),
  };
};
