/** Which control was pressed, and how it is named. Nothing that a person typed is read. */

import { isElement, tagOf, withHosts } from "./dom";
import { isMarked } from "./options";
import type { Target } from "./types";

const FIELDS = "input,select,textarea,[contenteditable]:not([contenteditable=false])";
const ACTIONABLE =
  `button,a[href],area,summary,label,option,[onclick],${FIELDS},[role^=menuitem]` +
  ",button,link,tab,option,switch,checkbox,radio,treeitem,combobox".replace(/\w+/g, "[role=$&]");
const BUTTON = "button,[role=button],[type=button],[type=submit],[type=reset],[type=image]";
const NO_TEXT = "script,style,noscript,template,[aria-hidden=true],[data-furrow-mask]," + FIELDS;
/** Inlined by the build. */
const enum Limit {
  LABEL_LENGTH = 80,
  NODES_READ = 150,
}

/** Ids that a framework or a build makes anew: React, libraries with counters, hashes, long numbers. */
const GENERATED =
  /[:«»]|^_r_|^(ember|mat|mdc|cdk|ion|css|sc|js[sx]|mui|chakra|mantine|radix|reach|headlessui|react|rc|ant|el-id|ui-id|ext|gwt|yui|downshift|tippy|select2|__BVID__|j_idt|ctl|input|field|button|u?id|v|ng|dx|bits).*\d|\d{5}|(?=[a-f]*\d)[\da-f]{8}|([a-z]+\d+){2}[a-z]|(\d[a-z]+){3}/i;

const isOwnName = (name: string | null): name is string => !!name && name.length <= 128 && !GENERATED.test(name);

export const isField = (element: Element): boolean => element.matches(FIELDS) && !element.matches(BUTTON);

export const isControl = (element: Element): boolean => element.matches(ACTIONABLE);

/** The nearest actionable element around what was hit, through shadow roots; what was hit itself where there is none. */
export const findControl = (path: EventTarget[]): Element | undefined => {
  const elements = path.filter(isElement);
  const control = elements.find(isControl);
  return (control instanceof HTMLLabelElement && control.control) || (control?.closest("select") ?? control ?? findPointed(elements) ?? elements[0]);
};

/** The outermost element that shows the hand: `div`s that a script made into a button. */
const findPointed = (elements: Element[]): Element | undefined => {
  return elements[elements.findIndex((element) => element === document.body || getComputedStyle(element).cursor !== "pointer") - 1];
};

/** A control at a place of the page that the browser does not hit, because it is switched off with `pointer-events: none`. */
export const findSwitchedOff = (around: Element, x: number, y: number): Element | undefined => {
  const controls = [...around.querySelectorAll(ACTIONABLE)].slice(0, 40);
  return controls.find((control) => covers(control, x, y) && getComputedStyle(control).pointerEvents === "none");
};

export const covers = (element: Element, x: number, y: number): boolean => {
  const place = element.getBoundingClientRect();
  return place.left <= x && x <= place.right && place.top <= y && y <= place.bottom;
};

export const describe = (element: Element): Target => {
  const tagName = tagOf(element);
  const id = ownId(element);
  return {
    type: typeOf(element, tagName),
    id,
    selector: id ? undefined : selectorOf(element, tagName),
    tagName,
    label: (isControl(element) && !isMarked(element, "mask") && labelOf(element)) || undefined,
  };
};

const typeOf = (element: Element, tagName: string): string => {
  const role = element.getAttribute("role");
  // A link of a menu, whatever its role, leads to a page; without an address it is a button.
  if (element.matches(BUTTON)) return element.matches("a[href*='/']") ? "link" : "button";
  if (tagName === "a") return role || "link";
  return role || /^(checkbox|radio|range|number|file)$/.exec((element as HTMLInputElement).type)?.[0] || tagName;
};

/** The id that the application gave it. A control within a component has that of the component. */
const ownId = (element: Element): string | undefined => {
  const names = "data-furrow data-testid data-test data-cy data-test-id id name".split(" ");
  return withHosts(element).flatMap((at) => names.map((name) => at.getAttribute(name))).find(isOwnName);
};

const LANDMARKS = "form,dialog,nav,header,footer,main,aside,[role=dialog]";

/** Short and without places among siblings: what is around it, the tag, its type and two of its classes. */
const selectorOf = (element: Element, tagName: string): string => {
  let around = element.parentElement;
  while (around && !ownId(around) && !around.matches(LANDMARKS)) around = around.parentElement;
  const place = around ? (ownId(around) ? "#" + ownId(around) : tagOf(around)) + " " : "";
  const type = element.getAttribute("type");
  const classes = [...element.classList].filter((name) => /^(?=...)[a-z]+(-[a-z]+)*$/.test(name) && isOwnName(name));
  return place + tagName + (type ? `[type=${type}]` : "") + classes.slice(0, 2).map((name) => "." + name).join("");
};

const labelOf = (element: Element): string => {
  const attribute = (name: string) => shorten(element.getAttribute(name) ?? "", Limit.LABEL_LENGTH);
  return (
    attribute("aria-label") ||
    attribute("aria-labelledby").split(" ").map((id) => textOf((element.getRootNode() as Document).getElementById?.(id))).join(" ").trim() ||
    textOf((element as HTMLInputElement).labels?.[0]) ||
    (element.matches(BUTTON) && (attribute("value") || attribute("alt"))) ||
    (!isField(element) && textOf(element)) ||
    attribute("title") ||
    attribute("placeholder")
  );
};

/** The text that an element shows, without what was typed into it. */
export const textOf = (element: Element | null | undefined): string => {
  let text = "";
  let room = Limit.NODES_READ;
  const read = (node: Node): void => {
    if (text.length > Limit.LABEL_LENGTH || room-- < 0) return;
    if (node instanceof Text) text += node.data;
    else if (isElement(node) && (node === element || !node.matches(NO_TEXT))) {
      text += ` ${(node !== element && node.getAttribute("aria-label")) || node.getAttribute("alt") || ""}`;
      (node.shadowRoot ?? node).childNodes.forEach(read);
      text += " ";
    }
  };
  // What is within an editor of text was typed, also a link.
  if (element && !element.matches(":read-write")) read(element);
  return shorten(text, Limit.LABEL_LENGTH);
};

/** In one line, cut where it is too long; never within a character. */
export const shorten = (text: string, length: number): string => {
  const line = text.replace(/\s+/g, " ").trim();
  return line[length] ? [...line].slice(0, length).join("") : line;
};
