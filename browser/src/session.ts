/** Who is who: the id of the session, shared by the tabs of a browser, and that of this page. */

import { listen, later } from "./guard";
import { options } from "./options";

/** Inlined by the build. */
const enum Limit {
  NAME = "furrow",
  IDLE_MS = 30 * 60_000,
  WRITE_EVERY_MS = 5_000,
}

/** Letters alone: digits could look like a number that the collector masks. */
const randomLetters = (count: number): string => {
  return String.fromCharCode(...crypto.getRandomValues(new Uint8Array(count)).map((byte) => 97 + (byte % 26)));
};

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

export const startSession = (stored: boolean): void => {
  mayStore = stored;
  written = 0;
  if (stored) listen<StorageEvent>(window, "storage", (event) => event.key === Limit.NAME && read());
};

/** Writes an entry of this script, removes it (null), or reads it; nothing where storage is refused: the id lives as long as the
 * page then. Pages before this one may have stored what this one may not: it is removed all the same. */
const stored = (area: "localStorage" | "sessionStorage", value?: Session | Note | null): unknown => {
  try {
    if (value === null) return delete window[area][Limit.NAME];
    if (mayStore) return value ? (window[area][Limit.NAME] = JSON.stringify(value)) : JSON.parse(window[area][Limit.NAME]);
  } catch {
    // What another script wrote there is no entry, either.
  }
  return undefined;
};

const read = (): void => {
  const kept = stored("localStorage") as Session | null | undefined;
  if (typeof kept?.id === "string" && kept.last > session.last) session = kept;
};

/** The id of the session, for an event that happens now. Another tab may have made it. */
export const sessionId = (): string => {
  const now = Date.now();
  const isOver = () => now - session.last > Limit.IDLE_MS;
  if (isOver()) {
    written = 0;
    read();
    if (isOver()) session = { id: randomLetters(22), last: 0, out: Math.random() >= (options.sample ?? 1) };
  }
  session.last = now;
  if (now - written > Limit.WRITE_EVERY_MS) {
    written = now;
    stored("localStorage", session);
  }
  return session.id;
};

/** Whether this session is among the share that is sent; its tabs and pages decide alike. */
export const isSampled = (): boolean => {
  sessionId();
  return !session.out;
};

export const forgetSession = (): void => {
  stored("localStorage", null);
  stored("sessionStorage", null);
  session.last = 0; // over: the next one has another id
};

/** A note of this tab for the page that it loads next; read once. */
export const leaveNote = (note: Note | null): unknown => stored("sessionStorage", note);

export const takeNote = (): Note | undefined => {
  const note = stored("sessionStorage") as Note | undefined;
  leaveNote(null);
  return note;
};

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
export const joinTabs = (): void => {
  listen<MessageEvent<Word>>((channel = new BroadcastChannel(Limit.NAME)), "message", ({ data: [word, tab] }) => {
    others[word === "bye" ? "delete" : "add"](tab);
    if (word === "hello") announce("here");
  });
  later(() => announce("hello"));
};

export const announce = (word: Word[0]): void => {
  channel?.postMessage([word, pageId]);
};

export const isLastTab = (): boolean => !others.size;
