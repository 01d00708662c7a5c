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
  url: string;
  thirdParty: boolean;
}

/** Requests without an answer: when they began (epoch milliseconds), and their cause. */
const open = new Map<Pending, [began: number, cause: string | undefined]>();

const begin = (method: unknown, address: unknown): Pending | undefined => {
  const url = new URL(address as string, document.baseURI);
  if (url.href.startsWith(endpoint) || !isWeb(url)) return undefined;
  const request = { method: String(method || "GET").toUpperCase(), url: url.pathname.slice(0, 1_024), thirdParty: !isOwnHost(url) };
  open.set(request, [Date.now(), causeNow()]);
  return request;
};

/** `status`: 0 where no answer came, undefined where it is unknown. `timestamp`: when it came, epoch milliseconds. */
const end = (request: Pending, status: number | undefined, aborted = false, bodyError?: boolean, timestamp = Date.now()): void => {
  const [began, cause] = open.get(request) ?? [];
  if (!began || !open.delete(request)) return;
  const failed = !aborted && (bodyError || status === 0 || status! >= 400);
  record("network", { ...request, status, durationMs: timestamp - began, aborted, bodyError: bodyError || undefined }, { cause, timestamp }, failed);
  if (status !== undefined && !aborted && !request.thirdParty) noteOutcome(request, status, failed, cause, began);
};

export const startNetwork = (): void => {
  wrap<Promise<Response>>(window, "fetch", (_, [input, init]) => {
    const made = (input instanceof Request ? input : { url: input }) as Partial<Request>;
    const own = init as RequestInit | undefined;
    const request = begin(own?.method ?? made.method, made.url);
    return request && ((answer) => {
      const arrived = safely((response: Response) => readAnswer(request, response));
      const failed = safely((reason: unknown) => end(request, 0, !!(own?.signal ?? made.signal)?.aborted || (reason as Error | undefined)?.name === "AbortError"));
      // A promise that carries more than a promise is the page's own: it is handed on as it is.
      if (answer?.constructor !== Promise || Object.keys(answer).length) answer?.then?.(arrived, failed);
      // Handed on through ours: a handler on the first promise would hide a rejection that the page does not handle.
      else return answer.then(
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
  });
  const calls = new WeakMap<object, unknown[]>();
  wrap(XMLHttpRequest.prototype, "open", (xhr, args) => {
    calls.set(xhr, args);
  });
  wrap(XMLHttpRequest.prototype, "send", (self) => {
    const xhr = self as XMLHttpRequest;
    const opened = calls.get(xhr) as [method: unknown, url: unknown] | undefined;
    const request = opened && begin(...opened);
    // What ended once does not end again.
    if (request)
      listen(xhr, "abort loadend", (event) =>
        end(request, xhr.status, event.type === "abort", mayRefuse(request, xhr.status, xhr.getResponseHeader("Content-Type")) && hasErrors(xhr.response)),
      );
  });
  wrap<boolean>(navigator, "sendBeacon", (_, [url]) => {
    const request = begin("POST", url);
    if (request) return (queued) => end(request, queued ? undefined : 0);
    return undefined;
  });
};
/** Whether the body may tell that the server refused: a JSON answer of the application itself. */
const mayRefuse = (request: Pending, status: number, type: string | null): boolean => !request.thirdParty && status < 300 && /[/+]json\s*(;|$)/i.test(type!);

const readAnswer = (request: Pending, response: Response): void => {
  const at = Date.now();
  // The status of an answer that the page itself may not see is unknown.
  const finish = safely((bodyError?: boolean) => end(request, response.status || undefined, false, bodyError, at));
  if (mayRefuse(request, response.status, response.headers.get("Content-Type")) && !(+response.headers.get("Content-Length")! > Limit.LARGEST_BODY))
    readText(response.clone()).then((text) => finish(hasErrors(text)), () => finish());
  else finish();
};

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

/** Whether an answer, or its JSON text, has `errors` that are not empty (GraphQL). Nothing else of it is read. */
const hasErrors = (body: unknown): boolean => {
  try {
    if (typeof body === "string") return body.length <= Limit.LARGEST_BODY && body.includes('"errors"') && hasErrors(JSON.parse(body));
    return Array.isArray((body as { errors: unknown[] }).errors) && (body as { errors: unknown[] }).errors.length > 0;
  } catch {
    return false; // no JSON, or `null`
  }
};

/** The person leaves: what was not answered never will be. */
export const abortOpen = (): void => {
  for (const [request] of open) end(request, 0, true);
};
