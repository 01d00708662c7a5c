/** From the queue to the collector: batches, gzip, retries, and what is left when the page is hidden. */

import { faults, later, pageFetch, safely } from "./guard";
import { endpoint, options } from "./options";
import { forgetStore, park, unpark } from "./store";
import type { SentEvent } from "./types";

/** Inlined by the build. */
const enum Limit {
  BATCH_EVENTS = 40,
  BATCH_LENGTH = 20_000, // characters: less than the 64 kB that browsers let outlive a page
  LAST_LENGTH = 40_000,
  QUEUE_LENGTH = 256_000,
  GZIP_LENGTH = 2_000,
  BATCH_MS = 10_000,
  URGENT_MS = 1_000,
  LONGEST_WAIT_MS = 60_000,
}

export interface Item {
  text: string;
  urgent: boolean;
  /** The event, until it is sent for the first time: then nothing is added to it any more. */
  $event?: SentEvent | undefined;
}

let queue: Item[] = [];
let dropped = 0;
let failures = 0;
let refused = false;
let sending = false;
let due = Infinity;

const isFull = (): boolean => queue.length >= Limit.BATCH_EVENTS || lengthOfQueue() >= Limit.BATCH_LENGTH;
const lengthOfQueue = (): number => queue.reduce((sum, item) => sum + item.text.length, 0);

export const enqueue = (event: SentEvent, urgent: boolean): void => {
  if (refused) return;
  queue.push({ text: JSON.stringify(event), urgent, $event: event });
  keep([]);
  schedule(urgent ? Limit.URGENT_MS : isFull() ? 0 : Limit.BATCH_MS);
};

/** Adds to an event that still waits; false when it was sent already. */
export const amend = (event: SentEvent, change: SentEvent["metadata"]): boolean => {
  const item = queue.find((waiting) => waiting.$event === event);
  if (!item) return false;
  Object.assign(event.metadata, change);
  item.text = JSON.stringify(event);
  return true;
};

/** Puts `items` before the queue, and keeps it within its limit: the oldest calm events go first. */
const keep = (items: Item[]): void => {
  queue.unshift(...items);
  for (let excess = lengthOfQueue() - Limit.QUEUE_LENGTH; excess > 0; dropped++) {
    excess -= queue.splice(Math.max(queue.findIndex((item) => !item.urgent), 0), 1)[0]!.text.length;
  }
};

/** Leaves the queue to the store, where there is one. */
const parkQueue = (): void => {
  if (park(queue)) queue = [];
};

export const schedule = (wait: number): void => {
  const at = Date.now() + wait;
  if (sending || at >= due) return;
  due = at;
  later(() => Date.now() >= due - 5 && flush(), wait);
};

/** The oldest events, as many as fit; taken from the queue. Nothing is added to them any more. */
const takeBatch = (length: number, count: number): Item[] => {
  let sum = 0;
  const end = queue.findIndex((item, place) => place >= count || (sum += item.text.length) > length);
  return queue.splice(0, end < 0 ? count : Math.max(end, 1)).map(({ text, urgent }) => ({ text, urgent }));
};

const bodyOf = (items: Item[], apiKey?: string): string => {
  const { appVersion, environment } = options;
  const batch = { apiKey, sentAt: Date.now(), sdkVersion: VERSION, appVersion, environment, dropped: dropped || undefined, faults: faults || undefined };
  // Joined by hand: pages with Prototype.js have an `Array.prototype.toJSON` that makes lists into texts.
  return `${JSON.stringify(batch).slice(0, -1)},"events":[${items.map(({ text }) => text).join()}]}`;
};

const flush = (): void => {
  due = Infinity;
  if (sending || refused) return;
  // After a failure, other pages may have left events, too.
  if (failures) unpark(sendBatch);
  else sendBatch([]);
};

const sendBatch = (parked: Item[]): void => {
  keep(parked);
  if (!queue.length) return;
  sending = true;
  const items = takeBatch(Limit.BATCH_LENGTH, Limit.BATCH_EVENTS);
  settle(items, post(bodyOf(items)));
};

const post = async (text: string): Promise<Response> => {
  const headers: Record<string, string> = { "Content-Type": "application/json", "X-API-Key": options.key };
  if (text.length <= Limit.GZIP_LENGTH || !window.CompressionStream) return request(text, headers);
  headers["Content-Encoding"] = "gzip";
  return request(await new Response(new Response(text).body!.pipeThrough(new CompressionStream("gzip"))).blob(), headers);
};

const request = (body: BodyInit, headers: Record<string, string>): Promise<Response> =>
  pageFetch.call(window, endpoint, { method: "POST", credentials: "omit", keepalive: true, body, headers });

const settle = (items: Item[], answer: Promise<{ status: number; headers?: Headers }>): void => {
  const reported = dropped;
  const finish = safely(({ status, headers }: { status: number; headers?: Headers }) => {
    sending = false;
    if (!status || status === 429 || status >= 500) {
      keep(items);
      parkQueue();
      schedule(Math.max(+headers?.get("Retry-After")! * 1_000 || 0, Math.min(Limit.LONGEST_WAIT_MS, 1_000 * 2 ** failures++) * (0.75 + Math.random() / 2)));
    } else if (status >= 400) {
      refused = true;
      queue = [];
      console.warn(`furrow: refused (${status})`);
    } else {
      dropped -= reported;
      // What waited for the collector comes now; what is left in the queue, soon.
      if (failures) unpark(keep);
      failures = 0;
      if (queue.length) schedule(isFull() ? 0 : Limit.URGENT_MS);
    }
  });
  answer.then(finish, () => finish({ status: 0 }));
};

/** The page is hidden, and may never be shown again: sends what is left, without a preflight, which would come too late. */
export const flushHidden = (): void => {
  if (refused || !queue.length) return;
  if (!failures && navigator.onLine) {
    const items = takeBatch(Limit.LAST_LENGTH, 999);
    const body = bodyOf(items, options.key);
    settle(items, request(body, { "Content-Type": "text/plain" }).catch(() => ({ status: navigator.sendBeacon(endpoint, body) ? 202 : 0 }) as Response));
  }
  parkQueue();
};

/** Sends what earlier pages could not send. */
export const resume = (): void =>
  unpark((parked) => {
    keep(parked);
    if (parked.length) schedule(Limit.URGENT_MS);
  });

export const forgetEvents = (): void => {
  queue = [];
  forgetStore();
};
