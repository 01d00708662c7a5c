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

export function startPerformance(): void {
  listen(window, "click keydown", ({ timeStamp }) => {
    lastAction = timeStamp;
  });
  watch("longtask", {}, (entry) => {
    const near = entry.startTime - lastAction < Limit.AFTER_ACTION_MS && entry.startTime + entry.duration >= lastAction;
    if (near && entry.duration > Limit.LONG_TASK_MS) measure("long_task", entry.duration, entry.startTime + entry.duration);
  });
  const interactions = new Set<number>();
  watch("event", { durationThreshold: Limit.SLOW_INTERACTION_MS }, (entry) => {
    const { interactionId } = entry as PerformanceEntry & { interactionId?: number };
    // The press and the click of one interaction are entries of their own.
    if (!interactionId || interactions.has(interactionId)) return;
    interactions.add(interactionId);
    measure("slow_response", entry.duration, entry.startTime + entry.duration);
  });
  if (document.readyState === "complete") measureLoad();
  else listen(window, "load", () => later(measureLoad, 0));
}

function watch(type: string, more: object, use: (entry: PerformanceEntry) => void): void {
  // A browser that does not know the type says so in its console, and does nothing.
  new PerformanceObserver((list) => list.getEntries().forEach(safely(use))).observe({ type, buffered: true, ...more });
}

function measureLoad(): void {
  const [entry] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  if (entry?.loadEventEnd) measure("page_load", entry.loadEventEnd, entry.loadEventEnd);
}

function measure(kind: string, duration: number, at: number): void {
  record("performance", { kind, durationMs: Math.round(duration) }, { timestamp: Math.round(performance.timeOrigin + at) });
}
