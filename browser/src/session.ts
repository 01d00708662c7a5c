/** Who is who: the id of the session, shared by the tabs of a browser, and that of this page. */

import { listen, later } from "./guard";
import { options } from "./options";

const STORED = "furrow";
/** Inlined by the build. */
const enum Limit {
  IDLE_MS = 30 * 60_000,
  WRITE_EVERY_MS = 5_000,
}

/** Letters alone: digits could look like a number that the collector masks. */
function randomLetters(count: number): string {
  return String.fromCharCode(...Array.from(crypto.getRandomValues(new Uint8Array(count)), (byte) => 97 + (byte % 26)));
}

const pageId = randomLetters(12);
let made = 0;

/** A new event id. It begins with the page's, so that two tabs never make the same. */
export const newId = (): string => `${pageId}-${made++}`;

interface Session {
  id: string;
  /** Time of its last event, epoch milliseconds. */
  last: number;
  /** Whether it is among the share that is not sent. */
  out?: boolean;
}

let session: Session = { id: "", last: 0 };
let written = 0;
let mayStore = false;

export function startSession(stored: boolean): void {
  mayStore = stored;
  written = 0;
  if (stored) listen<StorageEvent>(window, "storage", (event) => event.key === STORED && read());
}

function read(): void {
  try {
    const kept = mayStore && (JSON.parse(localStorage.getItem(STORED) || "null") as Session | null);
    if (kept && typeof kept.id === "string" && kept.last > session.last) session = kept;
  } catch {
    mayStore = false; // storage is refused: the id lives as long as the page
  }
}

/** The id of the session, for an event that happens now. Another tab may have made it. */
export function sessionId(): string {
  const now = Date.now();
  if (!session.id || now - session.last > Limit.IDLE_MS) {
    read();
    if (!session.id || now - session.last > Limit.IDLE_MS) session = { id: randomLetters(22), last: now, out: Math.random() >= (options.sample ?? 1) };
    written = 0;
  }
  session.last = now;
  if (now - written > Limit.WRITE_EVERY_MS) {
    written = now;
    keep(STORED, session);
  }
  return session.id;
}

/** Whether this session is among the share that is sent; its tabs and pages decide alike. */
export const isSampled = (): boolean => !!sessionId() && !session.out;

export function forgetSession(): void {
  keep(STORED, null);
  session = { id: "", last: 0 };
}

function keep(name: string, value: unknown): void {
  try {
    if (mayStore) localStorage.setItem(name, JSON.stringify(value));
  } catch {
    mayStore = false;
  }
}

/** A note of this tab for the page that it loads next; read once. */
export function leaveNote(note: Note): void {
  try {
    if (mayStore) sessionStorage.setItem(STORED, JSON.stringify(note));
  } catch {
    // Storage is refused: the next page does not know what led to it.
  }
}

export function takeNote(): Note | undefined {
  try {
    const note = mayStore && (JSON.parse(sessionStorage.getItem(STORED) || "null") as Note | null);
    sessionStorage.removeItem(STORED);
    return note || undefined;
  } catch {
    return undefined;
  }
}

export interface Note {
  cause: string | undefined;
  route: string;
  /** Path and method of the form that was sent, if it was one. */
  form?: { path: string; method: string } | undefined;
  at: number;
}

const others = new Set<string>();
let channel: BroadcastChannel | undefined;

type Word = ["hello" | "here" | "bye", string];

/** Tabs of one session know of each other, so that the last one can end it. */
export function joinTabs(): void {
  if (!("BroadcastChannel" in window)) return;
  channel = new BroadcastChannel(STORED);
  listen<MessageEvent<Word>>(channel, "message", ({ data: [word, tab] }) => {
    if (word === "bye") others.delete(tab);
    else others.add(tab);
    if (word === "hello") announce("here");
  });
  later(() => announce("hello"), 0);
}

export function announce(word: Word[0]): void {
  channel?.postMessage([word, pageId]);
}

export const isLastTab = (): boolean => others.size === 0;
