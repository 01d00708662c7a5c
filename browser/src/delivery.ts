/** From the queue to the collector: batches, gzip, retries, and what is left when the page is hidden. */

import { faults, later, listen, pageFetch, safely } from "./guard";
import { endpoint, options } from "./options";
import { park, unpark } from "./store";
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
  event?: SentEvent | undefined;
}

let queue: Item[] = [];
let dropped = 0;
let failures = 0;
let refused = false;
let sending = false;
let due = Infinity;

const lengthOf = (items: Item[]): number => items.reduce((sum, item) => sum + item.text.length, 0);

export function enqueue(event: SentEvent, urgent: boolean): void {
  if (refused) return;
  keep([...queue, { text: JSON.stringify(event), urgent, event }]);
  schedule(urgent ? Limit.URGENT_MS : queue.length < Limit.BATCH_EVENTS && lengthOf(queue) < Limit.BATCH_LENGTH ? Limit.BATCH_MS : 0);
}

/** Adds to an event that still waits; false when it was sent already. */
export function amend(event: SentEvent, change: SentEvent["metadata"]): boolean {
  const item = queue.find((waiting) => waiting.event === event);
  if (!item) return false;
  Object.assign(event.metadata, change);
  item.text = JSON.stringify(event);
  return true;
}

/** The queue, within its limit: the oldest calm events go first. */
function keep(items: Item[]): void {
  queue = items;
  let excess = lengthOf(queue) - Limit.QUEUE_LENGTH;
  for (const calm of [true, false]) {
    if (excess <= 0) return;
    queue = queue.filter((item) => {
      if (excess <= 0 || item.urgent === calm) return true;
      excess -= item.text.length;
      dropped++;
      return false;
    });
  }
}

function schedule(wait: number): void {
  const at = Date.now() + wait;
  if (sending || at >= due) return;
  due = at;
  later(() => Date.now() >= due - 5 && flush(), wait);
}

/** The oldest events, as many as fit; taken from the queue. */
function takeBatch(length: number, count: number): Item[] {
  let sum = 0;
  const end = queue.findIndex((item, place) => place >= count || (sum += item.text.length) > length);
  return queue.splice(0, end < 0 ? count : Math.max(end, 1));
}

function bodyOf(items: Item[], apiKey?: string): string {
  for (const item of items) delete item.event;
  const { appVersion, environment } = options;
  const batch = { apiKey, sentAt: Date.now(), sdkVersion: VERSION, appVersion, environment, dropped: dropped || undefined, faults: faults.count || undefined };
  // Joined by hand: pages with Prototype.js have an `Array.prototype.toJSON` that makes lists into texts.
  return `${JSON.stringify(batch).slice(0, -1)},"events":[${items.map((item) => item.text).join()}]}`;
}

function flush(): void {
  due = Infinity;
  if (sending || refused) return;
  // After a failure, other pages may have left events, too.
  if (failures) unpark((parked) => sendBatch(parked));
  else sendBatch([]);
}

function sendBatch(parked: Item[]): void {
  keep([...parked, ...queue]);
  if (!queue.length) return;
  sending = true;
  const items = takeBatch(Limit.BATCH_LENGTH, Limit.BATCH_EVENTS);
  settle(items, post(bodyOf(items)));
}

async function post(text: string): Promise<Response> {
  const headers: Record<string, string> = { "Content-Type": "application/json", "X-API-Key": options.key };
  let body: BodyInit = text;
  if (text.length > Limit.GZIP_LENGTH && window.CompressionStream) {
    body = await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"))).blob();
    headers["Content-Encoding"] = "gzip";
  }
  return request(body, headers);
}

const request = (body: BodyInit, headers: Record<string, string>): Promise<Response> =>
  pageFetch.call(window, endpoint, { method: "POST", credentials: "omit", keepalive: true, body, headers });

function settle(items: Item[], answer: Promise<Response>): void {
  const reported = dropped;
  const finish = safely(({ status, headers }: { status: number; headers?: Headers }) => {
    sending = false;
    if (!status || status === 429 || status >= 500) {
      const asked = 1_000 * Number(headers?.get("Retry-After")) || 0;
      keep([...items, ...queue]);
      if (park(queue)) queue = [];
      schedule(Math.max(asked, Math.min(Limit.LONGEST_WAIT_MS, 1_000 * 2 ** failures++) * (0.75 + Math.random() / 2)));
    } else if (status >= 400) {
      refused = true;
      queue = [];
      console.warn(`furrow: the collector refused the events (${status})`);
    } else {
      dropped -= reported;
      // What waited for the collector comes now; what is left in the queue, soon.
      if (failures) unpark((parked) => keep([...parked, ...queue]));
      failures = 0;
      if (queue.length) schedule(queue.length < Limit.BATCH_EVENTS ? Limit.URGENT_MS : 0);
    }
  });
  answer.then(finish, () => finish({ status: 0 }));
}

/** The page is hidden, and may never be shown again: sends what is left, without a preflight, which would come too late. */
export function flushHidden(): void {
  if (refused || !queue.length) return;
  const items = takeBatch(Limit.LAST_LENGTH, 999);
  const body = bodyOf(items, options.key);
  const byBeacon = () => ({ status: navigator.sendBeacon(endpoint, body) ? 202 : 0 }) as Response;
  if (failures || !navigator.onLine) keep([...items, ...queue]);
  else settle(items, request(body, { "Content-Type": "text/plain" }).catch(byBeacon));
  if (park(queue)) queue = [];
}

/** Sends what earlier pages could not send. */
export function resume(): void {
  unpark((parked) => {
    keep([...parked, ...queue]);
    if (parked.length) schedule(Limit.URGENT_MS);
  });
}

export function startDelivery(): void {
  listen(window, "online", () => schedule(0));
  listen(document, "visibilitychange", () => document.hidden || resume());
}

export function clearQueue(): void {
  queue = [];
}
