/** furrow-browser: see README.md. */

import { startErrors } from "./errors";
import { startForms } from "./forms";
import { clearQueue, resume, startDelivery } from "./delivery";
import { safely } from "./guard";
import { startLifecycle } from "./lifecycle";
import { startObserver, stopObserver } from "./mutations";
import { routeNamed, startNavigation } from "./navigation";
import { startNetwork } from "./network";
import { options, setOptions } from "./options";
import { startPerformance } from "./performance";
import { startPresses } from "./presses";
import { record, state } from "./record";
import { startResponded } from "./responded";
import { nameRoute } from "./route";
import { forgetSession, isSampled, sessionId, startSession } from "./session";
import { forgetStore, openStore } from "./store";
import type { Call, Furrow, Options } from "./types";
import { causeNow } from "./cause";

export type * from "./types";

let base: string | undefined;
/** Listeners and wrapped functions are set once; `stop` and `consent` only say whether they record. */
let installed = false;

/** Browsers that a program drives have no user. */
const isBot = (): boolean => navigator.webdriver || /bot|crawl|spider|headless|lighthouse|prerender/i.test(navigator.userAgent);

let consented = false;

function start(): void {
  const { consent } = options;
  if (!options.key || (consent === "required" && !consented)) return;
  const stored = consent !== "memory" || consented;
  startSession(stored);
  if (!isSampled()) return;
  if (stored) openStore(resume);
  state.running = true;
  if (installed) return;
  installed = true;
  // Each part by itself: where one cannot start in a page, the others do.
  for (const part of [startObserver, startResponded, startPresses, startForms, startNetwork, startErrors, startNavigation, startPerformance, startLifecycle, startDelivery]) safely(part)();
}

/** What only the application knows, as a request that the method `APP` marks. */
function recordOutcome(name: string, failed: boolean, reason?: string): void {
  const url = "/" + String(name).slice(0, 128);
  const metadata = { method: "APP", url, status: 200, durationMs: 0, bodyError: failed, reason: reason?.slice(0, 200) };
  record("network", metadata, { cause: causeNow() }, failed);
}

const calls: Omit<Furrow, "push" | "version"> = {
  init(chosen: Options) {
    if (options.key || !chosen.key || isBot()) return;
    setOptions(chosen, base);
    state.user = chosen.user ?? state.user;
    start();
  },
  user(id) {
    state.user = id === undefined ? undefined : String(id);
  },
  page(route) {
    nameRoute(String(route));
    routeNamed();
  },
  achieved: (name) => recordOutcome(name, false),
  failed: (name, reason) => recordOutcome(name, true, reason),
  consent(granted) {
    consented = granted;
    if (granted) start();
    else {
      calls.stop();
      clearQueue();
      forgetSession();
      forgetStore();
    }
  },
  session: () => (state.running ? sessionId() : ""),
  stop() {
    state.running = false;
    stopObserver();
  },
};

const guarded = Object.fromEntries(
  Object.entries(calls).map(([name, call]) => [name, safely(call as (...args: unknown[]) => unknown)]),
) as unknown as typeof calls;

export const furrow: Furrow = {
  ...guarded,
  version: VERSION,
  push(...queued: Call[]) {
    for (const [name, ...args] of queued) (guarded[name] as (...args: unknown[]) => void)?.(...args);
  },
};

/** The address of the script itself: the collector that served it. */
export function servedFrom(address: string): void {
  base = address;
}

export const { init, user, page, achieved, failed, consent, session, stop } = furrow;
