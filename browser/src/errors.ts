/** Errors of scripts, promises nobody caught, files that did not load, what a security policy blocked. */

import { causeNow, causeOfRejection } from "./cause";
import { shorten } from "./control";
import { isElement, isWeb, tagOf } from "./dom";
import { listen } from "./guard";
import { isOwnHost } from "./options";
import { record } from "./record";

/** Inlined by the build. */
const enum Limit {
  MESSAGE_LENGTH = 500,
  /** An error in a loop: more than these of one message tell nothing new. */
  SAME_MESSAGE = 20,
  MESSAGES_KEPT = 200,
}

const counts = new Map<string, number>();

const report = (errorType: string, message: unknown, frame: string, cause: string | undefined, file?: string, element?: string): void => {
  // Without addresses of mail and long numbers; the collector masks more.
  const text = shorten(String(message ?? ""), Limit.MESSAGE_LENGTH).replace(/[^\s@"'<>]+@[^\s@"'<>]+\.\w+/g, "[email]").replace(/\d{6,}/g, "[number]");
  const count = (counts.get(text) ?? 0) + 1;
  if (counts.size < Limit.MESSAGES_KEPT) counts.set(text, count);
  if (count > Limit.SAME_MESSAGE) return;
  const source = file || frame.replace(/:\d+:\d+$/, "");
  const thirdParty = /^Script error\.?$/.test(text) || !isOwnSource(source);
  record("error", { errorType, message: text, source: withoutQuery(source), frame: withoutQuery(frame) || undefined, thirdParty, element }, { cause }, true);
};

/** Without query and fragment, which may hold colons, too; a `:line:column` at the end stays. */
const withoutQuery = (source: string): string => source.replace(/[?#].*?(?=:\d+:\d+$|$)/, "").slice(0, 512);

const isOwnSource = (source: string): boolean => {
  try {
    const url = new URL(source, location.href);
    return isWeb(url) ? isOwnHost(url) : !/extension:/.test(url.protocol);
  } catch {
    return true;
  }
};

/** The first frame of a stack that is the application's, `file:line:column`; else the first of all. */
const frameOf = (error: unknown): string => {
  const frames = String((error as { stack?: unknown } | null | undefined)?.stack).slice(0, 4_000).match(/[a-z-]+:\/\/[^\s()]+:\d+:\d+/g) ?? [];
  return frames.find(isOwnSource) ?? frames[0] ?? "";
};

export const startErrors = (): void => {
  listen<ErrorEvent>(window, "error", (event) => {
    const { target, filename } = event;
    if (isElement(target)) reportFile(target);
    else report("javascript", event.message, frameOf(event.error) || (filename && `${filename}:${event.lineno}:${event.colno}`), causeNow(), filename);
  });
  listen<PromiseRejectionEvent>(window, "unhandledrejection", (event) => {
    const reason: unknown = event.reason;
    const message = (reason as { message?: unknown } | null | undefined)?.message;
    // What was thrown may be anything, also what a person typed: only texts of errors are sent.
    report("promise", message ?? (typeof reason === "string" ? reason : `a rejected promise (${typeof reason})`), frameOf(reason), causeOfRejection());
  });
  listen<SecurityPolicyViolationEvent>(window, "securitypolicyviolation", (event) => {
    if (event.disposition === "enforce") report("resource", `blocked by CSP: ${event.effectiveDirective}`, "", causeNow(), event.blockedURI);
  });
};

const reportFile = (element: Element): void => {
  const source = (element as HTMLImageElement).src ?? (element as HTMLLinkElement).href;
  const name = tagOf(element);
  // Not `undefined`, not the `[object …]` of an image within a drawing, and not `data:`, which is the content itself.
  if (/^[^[du]/.test(source) && !/audio|video/.test(name)) report("resource", `${name} did not load`, "", undefined, source, name);
};
