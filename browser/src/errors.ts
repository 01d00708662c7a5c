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

const EXTENSION = /^[a-z-]*extension:/;
const counts = new Map<string, number>();

const report = (errorType: string, message: unknown, source: string, frame: string | undefined, cause: string | undefined, element?: string): void => {
  const text = mask(shorten(String(message ?? ""), Limit.MESSAGE_LENGTH));
  const count = (counts.get(text) ?? 0) + 1;
  if (counts.size < Limit.MESSAGES_KEPT) counts.set(text, count);
  if (count > Limit.SAME_MESSAGE) return;
  const foreign = /^Script error\.?$/.test(text) || EXTENSION.test(source) || (!!source && !isOwnSource(source));
  record("error", { errorType, message: text, source: withoutQuery(source), frame: frame && withoutQuery(frame), thirdParty: foreign, element }, { cause }, true);
};

/** Addresses of mail and long numbers; the collector masks more. */
const mask = (text: string): string => text.replace(/[^\s@"'<>]+@[^\s@"'<>]+\.\w+/g, "[email]").replace(/\d{6,}/g, "[number]");

const withoutQuery = (source: string): string => source.replace(/[?#][^:]*/, "").slice(0, 512);

const isOwnSource = (source: string): boolean => {
  try {
    const url = new URL(source, location.href);
    return !isWeb(url) || isOwnHost(url.host);
  } catch {
    return true;
  }
};

/** The first frame of a stack that is the application's, `file:line:column`; else the first of all. */
const frameOf = (error: unknown): string | undefined => {
  const frames = String((error as { stack?: unknown } | null | undefined)?.stack).slice(0, 4_000).match(/[a-z-]+:\/\/[^\s()]+:\d+:\d+/g) ?? [];
  return frames.find((frame) => !EXTENSION.test(frame) && isOwnSource(frame)) ?? frames[0];
};

const fileOf = (frame: string | undefined): string => frame?.replace(/:\d+:\d+$/, "") ?? "";

export const startErrors = (): void => {
  listen<ErrorEvent>(window, "error", (event) => {
    const { target } = event;
    if (isElement(target)) return reportFile(target);
    const own = frameOf(event.error);
    const frame = own ?? (event.filename ? `${event.filename}:${event.lineno}:${event.colno}` : undefined);
    report("javascript", event.message, event.filename || fileOf(frame), frame, causeNow());
  });
  listen<PromiseRejectionEvent>(window, "unhandledrejection", ({ reason }) => {
    const frame = frameOf(reason);
    const message = (reason as { message?: unknown } | null | undefined)?.message;
    // What was thrown may be anything, also what a person typed: only texts of errors are sent.
    report("promise", message ?? (typeof reason === "string" ? reason : `a rejected promise (${typeof reason})`), fileOf(frame), frame, causeOfRejection());
  });
  listen<SecurityPolicyViolationEvent>(document, "securitypolicyviolation", ({ effectiveDirective, blockedURI, disposition }) => {
    if (disposition === "enforce") report("resource", `blocked by the page's security policy: ${effectiveDirective}`, blockedURI, undefined, causeNow());
  });
};

const reportFile = (element: Element): void => {
  const { src, href } = element as Element & { src?: unknown; href?: unknown };
  // An image within a drawing has an object here.
  const source = [src, href].find((address) => address && typeof address === "string") as string | undefined;
  const name = tagOf(element);
  if (source && !/^(audio|video)$/.test(name)) report("resource", `${name} did not load`, source, undefined, undefined, name);
};
