/** Requests of the page: fetch, XMLHttpRequest, beacons. The page gets the same answers and the same errors as without this. */

import { noteOutcome } from "./blocked";
import { causeNow } from "./cause";
import { isWeb } from "./dom";
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
  $began: number;
  cause: string | undefined;
  thirdParty: boolean;
}

/** Requests without an answer. */
const open = new Set<Pending>();

const begin = (method: unknown, url: unknown): Pending | undefined => {
  const address = new URL(String(url), document.baseURI);
  if (address.href.startsWith(endpoint) || !isWeb(address)) return undefined;
  const request = {
    method: String(method || "GET").toUpperCase(),
    address,
    $began: Date.now(),
    cause: causeNow(),
    thirdParty: !isOwnHost(address.host),
  };
  open.add(request);
  return request;
};

/** `status`: 0 where no answer came, undefined where it is unknown. `at`: when it came, epoch milliseconds. */
const end = (request: Pending | undefined, status: number | undefined, aborted = false, bodyError = false, at = Date.now()): void => {
  if (!request || !open.delete(request)) return;
  const { method, address, $began: began, cause, thirdParty } = request;
  const url = address.pathname.slice(0, 1_024);
  const failed = !aborted && (status === 0 || status! >= 400 || bodyError);
  const metadata = { method, url, status, durationMs: at - began, aborted, thirdParty, bodyError: bodyError || undefined };
  record("network", metadata, { cause, timestamp: at }, failed);
  if (status !== undefined && !aborted && !thirdParty) noteOutcome(method, url, status, failed, cause, began);
};

export const startNetwork = (): void => {
  wrap(window, "fetch", (call, _, [input, init]) => {
    const request = safely(() => {
      const made = input instanceof Request && input;
      return begin((init as RequestInit | undefined)?.method ?? (made && made.method), made ? made.url : input);
    })();
    const answer = call() as Promise<Response>;
    if (!request || typeof answer?.then !== "function") return answer;
    const signal = (init as RequestInit | undefined)?.signal ?? (input as Request).signal;
    const arrived = safely((response: Response) => readAnswer(request, response));
    const failed = safely((reason: unknown) => end(request, 0, !!signal?.aborted || (reason as Error | undefined)?.name === "AbortError"));
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
    safely(end)(request, queued ? undefined : 0);
    return queued;
  });
};

const readAnswer = (request: Pending, response: Response): void => {
  const at = Date.now();
  const { status, type } = response;
  const header = (name: string) => response.headers.get("Content-" + name);
  const finish = safely((bodyError?: boolean) => end(request, /^opaque/.test(type) ? undefined : status, false, bodyError, at));
  if (!response.ok || request.thirdParty || !isJson(header("Type")) || +header("Length")! > Limit.LARGEST_BODY) finish();
  else readText(response.clone()).then((text) => finish(hasErrors(text)), () => finish());
};

const isJson = (type: string | null): boolean => /[/+]json\s*(;|$)/i.test(type ?? "");

/** The text of an answer; "" where it is larger than is read. */
const readText = async (response: Response): Promise<string> => {
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += decoder.decode(value, { stream: true });
    if (text.length > Limit.LARGEST_BODY) {
      void reader.cancel();
      return "";
    }
  }
};

/** Whether a JSON text has `errors` that are not empty (GraphQL). Nothing else of it is read. */
const hasErrors = (text: string): boolean => {
  try {
    return text.includes('"errors"') && isRefusal(JSON.parse(text));
  } catch {
    return false; // no JSON, or `null`
  }
};

const isRefusal = (body: { errors?: unknown } | null): boolean => {
  const errors = body?.errors;
  return Array.isArray(errors) && errors.length > 0;
};

const wrapXhr = (): void => {
  const calls = new WeakMap<object, unknown[]>();
  wrap(XMLHttpRequest.prototype, "open", (call, self, args) => {
    calls.set(self, args);
    return call();
  });
  wrap(XMLHttpRequest.prototype, "send", (call, self) => {
    safely(() => {
      const xhr = self as XMLHttpRequest;
      const opened = calls.get(xhr);
      const request = opened && begin(opened[0], opened[1]);
      let aborted = false;
      if (!request) return;
      listen(xhr, "abort loadend", ({ type }) => {
        if (type === "abort") aborted = true;
        else end(request, xhr.status, aborted, xhrHasErrors(xhr, request));
      });
    })();
    return call();
  });
};

const xhrHasErrors = (xhr: XMLHttpRequest, { thirdParty }: Pending): boolean => {
  const { response } = xhr;
  if (thirdParty || xhr.status >= 300 || !isJson(xhr.getResponseHeader("Content-Type"))) return false;
  return xhr.responseType === "json" ? isRefusal(response) : typeof response === "string" && response.length <= Limit.LARGEST_BODY && hasErrors(response);
};

/** The person leaves: what was not answered never will be. */
export const abortOpen = (): void => {
  for (const request of [...open]) end(request, 0, true);
};
