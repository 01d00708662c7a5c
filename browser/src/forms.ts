/** Forms and fields: what was touched and sent, and which fields were refused. No value is read. */

import { noteAction, pressOf } from "./blocked";
import { beginDispatch, causeNow } from "./cause";
import { describe, isField } from "./control";
import { elementOf, hitBy, isElement } from "./dom";
import { later, listen } from "./guard";
import { noteFormSent } from "./navigation";
import { isMarked } from "./options";
import { record } from "./record";
import { newId } from "./session";
import type { Target } from "./types";

/** Inlined by the build. */
const enum Limit {
  /** A field that is marked invalid within this time after a press was refused by it. */
  REFUSED_MS = 5_000,
}

let lastTry: { id: string; at: number } | undefined;
/** Fields that were reported since the last press. */
let reported = new WeakSet<Element>();

export const noteTry = (id: string): void => {
  lastTry = { id, at: Date.now() };
  reported = new WeakSet();
};

const refuse = (field: Element, reason: string, cause: string | undefined): void => {
  if (reported.has(field) || isMarked(field, "ignore")) return;
  reported.add(field);
  record("error", { errorType: "validation", message: reason, thirdParty: false }, { target: describe(field), cause }, true);
};

export const startForms = (): void => {
  listen<Event>(window, "focusin change focusout", (event) => {
    const field = hitBy(event);
    if (!isElement(field) || !isField(field) || isMarked(field, "ignore")) return;
    const action = event.type.replace("in", "").replace("focusout", "blur");
    record("input", { action, fieldType: (field as HTMLInputElement).type || "text" }, { target: describe(field) });
  });
  listen<SubmitEvent>(window, "submit", submitted);
  listen<Event>(window, "invalid", ({ target }) => {
    const cause = causeNow();
    // A page may ask for validity at any time; only a press makes it an answer.
    if (cause && isElement(target)) {
      noteInvalidForm(target, cause);
      refuse(target, validityOf(target as HTMLInputElement), cause);
    }
  });
};

const submitted = (event: SubmitEvent): void => {
  const form = hitBy(event);
  if (!(form instanceof HTMLFormElement) || isMarked(form, "ignore")) return;
  const id = newId();
  const cause = causeNow();
  beginDispatch(id, event);
  const target = recordSubmit(form, form.matches(":valid"), cause, id);
  const button = event.submitter;
  noteAction(id, pressOf(cause) ?? id, button ?? form, button ? describe(button) : target);
  later(() => event.defaultPrevented || noteFormSent(form, button, id));
};

const recordSubmit = (form: HTMLFormElement, valid: boolean, cause: string | undefined, eventId = newId()): Target => {
  const target = { ...describe(form), type: "form" };
  record("form_submit", { valid }, { eventId, cause, target });
  return target;
};

const reportedForms = new WeakMap<Element, string>();

/** The browser refuses a form before it is sent: one try, however many fields are wrong. */
const noteInvalidForm = (field: Element, cause: string): void => {
  const form = (field as HTMLInputElement).form;
  if (!form || reportedForms.get(form) === cause) return;
  reportedForms.set(form, cause);
  recordSubmit(form, false, cause);
};

/** Which rule the value breaks: `valueMissing`, `typeMismatch`. */
const validityOf = ({ validity }: HTMLInputElement): string => {
  for (const rule in validity) {
    if (rule !== "valid" && validity[rule as keyof ValidityState]) return rule;
  }
  return "invalid";
};

const MARKS = "[role=alert],.errorlist,[aria-invalid=true]";
const ERROR_WORD = /err|invalid|danger|fail|warn/i;

export const readRefusal = (mutation: MutationRecord): void => {
  if (!lastTry || Date.now() - lastTry.at > Limit.REFUSED_MS) return;
  const element = elementOf(mutation.target);
  if (mutation.attributeName === "aria-invalid") refuseMarked(element!, lastTry.id);
  if (mutation.attributeName) return;
  const around = element?.closest("[role=alert],.errorlist");
  if (around) refuseMarked(around, lastTry.id);
  mutation.addedNodes.forEach((node) => isElement(node) && refuseWithin(node, lastTry!.id));
};

const refuseWithin = (root: Element, cause: string | undefined): void => {
  for (const mark of [root, ...root.querySelectorAll(MARKS)].slice(0, 20)) refuseMarked(mark, cause);
};

/** An alert must look like an error: `role=alert` alone also announces success. */
const refuseMarked = (mark: Element, cause: string | undefined): void => {
  const alert = mark.matches("[role=alert]");
  if (!mark.matches(MARKS) || (alert && !(ERROR_WORD.test(mark.className + " " + mark.firstElementChild?.className) && mark.textContent?.trim()))) return;
  refuse(mark, alert ? "alert" : mark.matches(".errorlist") ? "errorlist" : "aria-invalid", cause);
};

/** The server answered a form with the same form: its marks show which fields it refused. */
export const reportRefusedForm = (cause: string | undefined): void => refuseWithin(document.body, cause);
