/** Requests of the page: fetch, XMLHttpRequest, beacons. The page gets the same answers and the same errors as without this. */

import { noteOutcome } from "./blocked";
import { causeNow } from "./cause";
import { listen, safely, wrap } from "./guard";
import { endpoint, isOwnHost } from "./options";
import { record } from "./record";

/** Inlined by the build. */
const enum Limit {
  LARGEST_BODY = 64 << 10,
}

interface Pending {
  method: string;
  address: URL;
  /** Epoch milliseconds. */
  began: number;
  cause: string | undefined;
  thirdParty: boolean;
}

interface Answer {
  /** 0: none came; undefined: unknown. */
  status: number | undefined;
  aborted?: boolean;
  bodyError?: boolean;
}

/** Requests without an answer. */
const open = new Set<Pending>();

function begin(method: unknown, url: unknown): Pending | undefined {
  const address = new URL(String(url), document.baseURI);
  if (address.href.startsWith(endpoint) || !/^https?:$/.test(address.protocol)) return undefined;
  const request = {
    method: String(method || "GET").toUpperCase(),
    address,
    began: Date.now(),
    cause: causeNow(),
    thirdParty: !isOwnHost(address.host),
  };
  open.add(request);
  return request;
}

function end(request: Pending | undefined, { status, aborted = false, bodyError }: Answer, at = Date.now()): void {
  if (!request || !open.delete(request)) return;
  const { method, address, began, cause, thirdParty } = request;
  const url = address.pathname.slice(0, 1_024);
  const failed = !aborted && (status === 0 || status! >= 400 || !!bodyError);
  const metadata = { method, url, status, durationMs: at - began, aborted, thirdParty, bodyError: bodyError || undefined };
  record("network", metadata, { cause, timestamp: at }, failed);
  if (status !== undefined && !aborted && !thirdParty) noteOutcome({ method, url, status, failed, cause, began });
}

export function startNetwork(): void {
  wrap(window, "fetch", (call, _, [input, init]) => {
    const request = safely(() => {
      const given = input instanceof Request ? input : undefined;
      return begin((init as RequestInit | undefined)?.method ?? given?.method, given?.url ?? input);
    })();
    const answer = call() as Promise<Response>;
    if (!request || typeof answer?.then !== "function") return answer;
    const signal = (init as RequestInit | undefined)?.signal ?? (input as Request).signal;
    const arrived = safely((response: Response) => readAnswer(request, response));
    const failed = safely((reason: unknown) =>
      end(request, { status: 0, aborted: !!signal?.aborted || (reason as Error | undefined)?.name === "AbortError" }),
    );
    // A promise that carries more than a promise is the page's own: it is handed on as it is.
    if (answer.constructor !== Promise || Object.keys(answer).length) {
      answer.then(arrived, failed);
      return answer;
    }
    // Handed on through ours: a handler on the first promise would hide a rejection that the page does not handle.
    return answer.then(
      (response) => {
        arrived(response);
        return response;
      },
      (reason: unknown) => {
        failed(reason);
        throw reason;
      },
    );
  });
  wrapXhr();
  wrap(navigator, "sendBeacon", (call, _, [url]) => {
    const request = safely(begin)("POST", url);
    const queued = call();
    safely(end)(request, { status: queued ? undefined : 0 });
    return queued;
  });
}

function readAnswer(request: Pending, response: Response): void {
  const at = Date.now();
  const { status, type } = response;
  if (type.startsWith("opaque")) return end(request, { status: undefined }, at);
  const length = Number(response.headers.get("Content-Length") ?? 0);
  if (!response.ok || request.thirdParty || !isJson(response.headers.get("Content-Type")) || length > Limit.LARGEST_BODY) {
    return end(request, { status }, at);
  }
  readText(response.clone()).then(
    safely((text) => end(request, { status, bodyError: hasErrors(text) }, at)),
    safely(() => end(request, { status }, at)),
  );
}

const isJson = (type: string | null): boolean => /[/+]json\s*(;|$)/i.test(type ?? "");

/** The text of an answer; "" where it is larger than is read. */
async function readText(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const part = await reader?.read();
    if (!part || part.done) return text;
    text += decoder.decode(part.value, { stream: true });
    if (text.length > Limit.LARGEST_BODY) {
      void reader!.cancel();
      return "";
    }
  }
}

/** Whether a JSON text has `errors` that are not empty (GraphQL). Nothing else of it is read. */
function hasErrors(text: string): boolean {
  if (!text.includes('"errors"')) return false;
  try {
    const { errors } = JSON.parse(text) as { errors?: unknown };
    return Array.isArray(errors) && errors.length > 0;
  } catch {
    return false; // no JSON, or `null`
  }
}

function wrapXhr(): void {
  const calls = new WeakMap<object, { method: unknown; url: unknown }>();
  wrap(XMLHttpRequest.prototype, "open", (call, self, [method, url]) => {
    calls.set(self as object, { method, url });
    return call();
  });
  wrap(XMLHttpRequest.prototype, "send", (call, self) => {
    safely(() => {
      const xhr = self as XMLHttpRequest;
      const opened = calls.get(xhr);
      const request = opened && begin(opened.method, opened.url);
      let aborted = false;
      if (request) {
        listen(xhr, "abort", () => {
          aborted = true;
        });
        listen(xhr, "loadend", () => end(request, { status: xhr.status, aborted, bodyError: xhrHasErrors(xhr, request) }));
      }
    })();
    return call();
  });
}

function xhrHasErrors(xhr: XMLHttpRequest, { thirdParty }: Pending): boolean {
  if (thirdParty || xhr.status >= 300 || !isJson(xhr.getResponseHeader("Content-Type"))) return false;
  if (xhr.responseType === "json") return Array.isArray(xhr.response?.errors) && xhr.response.errors.length > 0;
  return /^(text)?$/.test(xhr.responseType) && xhr.responseText.length <= Limit.LARGEST_BODY && hasErrors(xhr.responseText);
}

/** The person leaves: what was not answered never will be. */
export function abortOpen(): void {
  for (const request of [...open]) end(request, { status: 0, aborted: true });
}
