/** The calls of a page, and the parts that they start. */

import { startErrors } from "./errors";
import { startForms } from "./forms";
import { forgetEvents, resume } from "./delivery";
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
import { openStore } from "./store";
import type { Call, Furrow, Options } from "./types";
import { causeNow } from "./cause";

/** Listeners and wrapped functions are set once; `stop` and `consent` only say whether they record. */
let installed = false;

/** Browsers that a program drives have no user. */
const isBot = (): boolean => navigator.webdriver || /bot|crawl|spider|headless|lighthouse|prerender/i.test(navigator.userAgent);

let consented = false;

const start = (): void => {
  if (!options.key || (options.consent === "required" && !consented)) return;
  const stored = options.consent !== "memory" || consented;
  startSession(stored);
  if (!isSampled()) return;
  if (stored) openStore(resume);
  state.$running = true;
  if (installed) return;
  installed = true;
  // Each part by itself: where one cannot start in a page, the others do.
  for (const part of [startObserver, startResponded, startPresses, startForms, startNetwork, startErrors, startNavigation, startPerformance, startLifecycle]) safely(part)();
};

/** What only the application knows, as a request that the method `APP` marks. */
const recordOutcome = (name: string, failed: boolean, reason?: string): void => {
  record("network", { method: "APP", url: "/" + String(name).slice(0, 128), status: 200, durationMs: 0, bodyError: failed, reason: reason?.slice(0, 200) }, { cause: causeNow() }, failed);
};

const calls: Omit<Furrow, "version"> = {
  init(chosen: Options) {
    if (options.key || !chosen.key || isBot()) return;
    setOptions(chosen);
    state.$user = chosen.user ?? state.$user;
    start();
  },
  user(id) {
    state.$user = id == null ? undefined : String(id);
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
      forgetEvents();
      forgetSession();
    }
  },
  session: () => (state.$running ? sessionId() : ""),
  stop() {
    state.$running = false;
    stopObserver();
  },
  push(...queued: Call[]) {
    for (const [name, ...args] of queued) (furrow[name] as ((...args: unknown[]) => void) | undefined)?.(...args);
  },
};

export const furrow = { version: VERSION } as Furrow;
for (const name in calls) furrow[name as "stop"] = safely(calls[name as "stop"]);
