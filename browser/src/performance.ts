/** What the person waits for: the page, and a main thread that is busy after an action. */

import { later, listen, safely } from "./guard";
import { record } from "./record";

/** Inlined by the build. */
const enum Limit {
  LONG_TASK_MS = 200,
  SLOW_INTERACTION_MS = 500,
  AFTER_ACTION_MS = 1_000,
}

let lastAction = -Infinity; // as performance.now()
let lastInteraction: number | undefined;

export const startPerformance = (): void => {
  listen(window, "click keydown", (event) => {
    lastAction = event.timeStamp;
  });
  watch("longtask", (entry) => {
    const { startTime, duration } = entry;
    if (startTime - lastAction < Limit.AFTER_ACTION_MS && startTime + duration >= lastAction && duration > Limit.LONG_TASK_MS) measure("long_task", entry);
  });
  watch("event", (entry) => {
    const interactionId = (entry as PerformanceEntry & { interactionId?: number }).interactionId;
    // The press and the click of one interaction are entries of their own.
    if (interactionId && interactionId !== lastInteraction) measure("slow_response", entry);
    lastInteraction = interactionId || lastInteraction;
  });
  // Not by an observer: in WebKit, it is told nothing that has a duration.
  if (document.readyState === "complete") measureLoad();
  else listen(window, "load", () => later(measureLoad));
};

const watch = (type: string, use: (entry: PerformanceEntry) => void): void => {
  // A browser that does not know the type says so in its console, and does nothing. The threshold is for events alone.
  new PerformanceObserver((list) => list.getEntries().forEach(safely(use))).observe({ type, buffered: true, durationThreshold: Limit.SLOW_INTERACTION_MS } as PerformanceObserverInit);
};

const measureLoad = (): void => {
  const [entry] = performance.getEntriesByType("navigation");
  if (entry?.duration) measure("page_load", entry);
};

const measure = (kind: string, { startTime, duration }: PerformanceEntry): void => {
  record("performance", { kind, durationMs: Math.round(duration) }, { timestamp: Math.round(performance.timeOrigin + startTime + duration) });
};
