/** From the queue to the collector: batches, gzip, retries, and what is left when the page is hidden. */

import { faults, later, listen, pageFetch, safely } from "./guard";
import { endpoint, options } from "./options";
import { park, unpark } from "./store";
import type { SentEvent } from "./types";

const BATCH_EVENTS = 40;
const BATCH_BYTES = 24_000;
const BATCH_MS = 10_000;
const URGENT_MS = 1_000;
const QUEUE_BYTES = 256_000;
/** Browsers allow 64 kB in all requests that outlive their page. */
const KEEPALIVE_BYTES = 60_000;
const GZIP_BYTES = 2_000;
const LONGEST_WAIT_MS = 60_000;

interface Item {
  text: string;
  urgent: boolean;
  /** The event, until it is sent for the first time: then nothing is added to it any more. */
  event: SentEvent | undefined;
}

let queue: Item[] = [];
let bytes = 0;
let dropped = 0;
let failures = 0;
let refused = false;
let sending = false;
let due = Infinity;

export function enqueue(event: SentEvent, urgent: boolean): void {
  if (refused) return;
  add({ text: JSON.stringify(event), urgent, event });
  schedule(urgent ? URGENT_MS : queue.length >= BATCH_EVENTS || bytes > BATCH_BYTES ? 0 : BATCH_MS);
}

/** Adds to an event that still waits; false when it was sent already. */
export function amend(event: SentEvent, change: SentEvent["metadata"]): boolean {
  const item = queue.find((waiting) => waiting.event === event);
  if (!item) return false;
  Object.assign(event.metadata, change);
  bytes -= item.text.length;
  item.text = JSON.stringify(event);
  bytes += item.text.length;
  return true;
}

function add(item: Item): void {
  queue.push(item);
  bytes += item.text.length;
  while (bytes > QUEUE_BYTES) {
    const calm = queue.findIndex((waiting) => !waiting.urgent);
    take([queue[Math.max(calm, 0)]!]);
    dropped++;
  }
}

function take(items: Item[]): Item[] {
  queue = queue.filter((item) => !items.includes(item));
  for (const item of items) bytes -= item.text.length;
  return items;
}

function putBack(items: Item[]): void {
  const newer = take([...queue]);
  for (const item of [...items, ...newer]) add(item);
}

function schedule(wait: number): void {
  const at = Date.now() + Math.max(wait, failures && retryWait());
  if (sending || at >= due) return;
  due = at;
  later(() => due <= Date.now() + 5 && flush(), at - Date.now());
}

let asked = 0; // milliseconds that the collector asked to wait

function retryWait(): number {
  return Math.max(asked, Math.min(LONGEST_WAIT_MS, 500 * 2 ** failures) * (0.75 + Math.random() / 2));
}

/** As many of the oldest as fit into `limit` characters, at most `count`. */
function nextBatch(limit: number, count: number): Item[] {
  let size = 0;
  return take(queue.slice(0, count).filter((item, place) => (size += item.text.length) <= limit || (!place && limit === BATCH_BYTES)));
}

function bodyOf(items: Item[], more: object): string {
  for (const item of items) item.event = undefined;
  const batch = {
    ...more,
    sentAt: Date.now(),
    sdkVersion: VERSION,
    appVersion: options.appVersion,
    environment: options.environment,
    dropped: dropped || undefined,
    faults: faults.count || undefined,
  };
  // Joined by hand: pages with Prototype.js have an `Array.prototype.toJSON` that makes lists into texts.
  return `${JSON.stringify(batch).slice(0, -1)},"events":[${items.map((item) => item.text).join()}]}`;
}

const flush = safely(async (): Promise<void> => {
  due = Infinity;
  if (sending || refused || !queue.length) return;
  sending = true;
  const items = nextBatch(BATCH_BYTES, BATCH_EVENTS);
  const reported = dropped;
  const { status, wait } = await post(bodyOf(items, {})).catch(() => ({ status: 0, wait: 0 }));
  sending = false;
  settle(items, reported, status, wait);
});

async function post(text: string): Promise<{ status: number; wait: number }> {
  const headers: Record<string, string> = { "Content-Type": "application/json", "X-API-Key": options.key };
  let body: BodyInit = text;
  if (text.length > GZIP_BYTES && "CompressionStream" in window) {
    const packed = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
    body = await new Response(packed).blob();
    headers["Content-Encoding"] = "gzip";
  }
  const size = typeof body === "string" ? body.length * 3 : (body as Blob).size;
  return request({ headers, body, keepalive: size < KEEPALIVE_BYTES });
}

async function request(init: RequestInit): Promise<{ status: number; wait: number }> {
  const answer = await pageFetch.call(window, endpoint, { method: "POST", credentials: "omit", cache: "no-store", ...init });
  return { status: answer.status, wait: 1000 * Number(answer.headers.get("Retry-After")) || 0 };
}

function settle(items: Item[], reported: number, status: number, wait: number): void {
  if (status === 0 || status === 429 || status >= 500) {
    failures++;
    asked = Math.min(wait, 10 * LONGEST_WAIT_MS);
    putBack(items);
    if (document.hidden) parkQueue();
    else schedule(0);
  } else if (status >= 400) {
    refused = true;
    queue = [];
    console.warn(`furrow: the collector refused the events (${status})`);
  } else {
    dropped -= reported;
    failures = asked = 0;
    if (queue.length) schedule(queue.length >= BATCH_EVENTS ? 0 : URGENT_MS);
  }
}

/** The page is hidden, and may never be shown again: sends what is left, without a preflight, which would come too late. */
export function flushHidden(): void {
  if (refused) return;
  if (failures || !navigator.onLine) return parkQueue();
  let room = KEEPALIVE_BYTES;
  for (;;) {
    const items = nextBatch(Math.min(room, BATCH_BYTES), BATCH_EVENTS);
    if (!items.length) break;
    const reported = dropped;
    const body = bodyOf(items, { apiKey: options.key });
    room -= body.length * 1.1;
    request({ headers: { "Content-Type": "text/plain" }, body, keepalive: true })
      .catch(() => ({ status: navigator.sendBeacon(endpoint, body) ? 202 : 0, wait: 0 }))
      .then(safely(({ status, wait }) => settle(items, reported, status, wait)));
  }
  if (queue.length) parkQueue();
}

function parkQueue(): void {
  const items = take([...queue]);
  if (items.length && !park(items.map(({ text, urgent }) => ({ text, urgent })))) putBack(items);
}

/** Takes what earlier pages could not send. */
function unparkQueue(): void {
  unpark(
    safely((kept) => {
      putBack(kept.map((item) => ({ ...item, event: undefined })));
      if (queue.length) schedule(URGENT_MS);
    }),
  );
}

export function startDelivery(): void {
  unparkQueue();
  listen(window, "online", () => {
    failures = asked = 0;
    schedule(0);
  });
  listen(document, "visibilitychange", () => document.hidden || unparkQueue());
}

export function clearQueue(): void {
  queue = [];
  bytes = 0;
}
