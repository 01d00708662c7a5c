/** Forms and fields: what was touched and sent, and which fields were refused. No value is read. */

import { noteAction, pressOf } from "./blocked";
import { beginDispatch, causeNow } from "./cause";
import { describe } from "./control";
import { later, listen } from "./guard";
import { readMutations } from "./mutations";
import { noteFormSent } from "./navigation";
import { isMarked } from "./options";
import { record } from "./record";
import { newId } from "./session";

/** Inlined by the build. */
const enum Limit {
  /** A field that is marked invalid within this time after a press was refused by it. */
  REFUSED_MS = 5_000,
}

let lastTry: { id: string; at: number } | undefined;
/** Fields that were reported since the last press. */
let reported = new WeakSet<Element>();

export function noteTry(id: string): void {
  lastTry = { id, at: Date.now() };
  reported = new WeakSet();
}

function refuse(field: Element, reason: string, cause: string | undefined): void {
  if (reported.has(field) || isMarked(field, "ignore")) return;
  reported.add(field);
  record("error", { errorType: "validation", message: reason, thirdParty: false }, { target: describe(field), cause }, true);
}

export function startForms(): void {
  const sendInput = (action: string) => (event: Event) => {
    const [field] = event.composedPath();
    if (!(field instanceof Element) || !field.matches("input,select,textarea,[contenteditable]") || isMarked(field, "ignore")) return;
    if (/^(button|submit|reset|image)$/.test((field as HTMLInputElement).type)) return;
    record("input", { action, fieldType: (field as HTMLInputElement).type || "text" }, { target: describe(field) });
  };
  listen(window, "focusin", sendInput("focus"));
  listen(window, "change", sendInput("change"));
  listen(window, "focusout", sendInput("blur"));
  listen<SubmitEvent>(window, "submit", submitted);
  listen<Event>(window, "invalid", ({ target }) => {
    const cause = causeNow();
    // A page may ask for validity at any time; only a press makes it an answer.
    if (!cause || !(target instanceof Element)) return;
    noteInvalidForm(target, cause);
    refuse(target, validityOf(target as HTMLInputElement), cause);
  });
  readMutations(readRefusal);
}

function submitted(event: SubmitEvent): void {
  const form = event.composedPath()[0];
  if (!(form instanceof HTMLFormElement) || isMarked(form, "ignore")) return;
  const id = newId();
  const cause = causeNow();
  beginDispatch(id, event);
  const target = describe(form);
  record("form_submit", { valid: form.matches(":valid") }, { eventId: id, cause, target: { ...target, type: "form" } });
  const button = event.submitter;
  noteAction(id, pressOf(cause) ?? id, button ?? form, button ? describe(button) : target);
  noteTry(id);
  later(() => event.defaultPrevented || noteFormSent(form, button, id), 0);
}

const reportedForms = new WeakMap<Element, string>();

/** The browser refuses a form before it is sent: one try, however many fields are wrong. */
function noteInvalidForm(field: Element, cause: string): void {
  const { form } = field as HTMLInputElement;
  if (!form || reportedForms.get(form) === cause) return;
  reportedForms.set(form, cause);
  record("form_submit", { valid: false }, { cause, target: { ...describe(form), type: "form" } });
}

/** Which rule the value breaks: `valueMissing`, `typeMismatch`. */
function validityOf({ validity }: HTMLInputElement): string {
  for (const rule in validity) {
    if (rule !== "valid" && validity[rule as keyof ValidityState]) return rule;
  }
  return "invalid";
}

const MARKS = "[aria-invalid=true],[role=alert],.errorlist";
const ERROR_WORD = /err|invalid|danger|fail|warn/i;

function readRefusal({ type, target, attributeName, addedNodes }: MutationRecord): void {
  if (!lastTry || Date.now() - lastTry.at > Limit.REFUSED_MS) return;
  const element = target instanceof Element ? target : target.parentElement;
  if (attributeName === "aria-invalid") refuseMarked(element!, lastTry.id);
  if (type === "attributes") return;
  const around = element?.closest("[role=alert],.errorlist");
  if (around) refuseMarked(around, lastTry.id);
  for (const node of addedNodes) {
    if (node instanceof Element) refuseWithin(node, lastTry.id);
  }
}

function refuseWithin(root: Element, cause: string | undefined): void {
  for (const mark of [root, ...[...root.querySelectorAll(MARKS)].slice(0, 20)]) refuseMarked(mark, cause);
}

/** An alert must look like an error: `role=alert` alone also announces success. */
function refuseMarked(mark: Element, cause: string | undefined): void {
  const alert = mark.matches("[role=alert]");
  const words = mark.className + " " + mark.firstElementChild?.className;
  if (!mark.matches(MARKS) || (alert && !(ERROR_WORD.test(words) && mark.textContent?.trim()))) return;
  refuse(mark, alert ? "alert" : mark.matches(".errorlist") ? "errorlist" : "aria-invalid", cause);
}

/** The server answered a form with the same form: its marks show which fields it refused. */
export const reportRefusedForm = (cause: string | undefined): void => refuseWithin(document.body, cause);
