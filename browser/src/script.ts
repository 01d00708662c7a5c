/** The script bundle: takes its options from its own tag, and the calls that waited in `window.furrow`. */

import { safely } from "./guard";
import { furrow } from "./furrow";
import type { Call, Furrow, Options } from "./types";

const holder = window as unknown as { furrow?: Furrow | Call[] };

/** Calls that hold for the first events, too. */
const EARLY = /init|user|page|consent/;

safely(() => {
  const waiting = holder.furrow ?? [];
  if (!Array.isArray(waiting)) return; // loaded twice
  holder.furrow = furrow;
  const data = (document.currentScript as HTMLScriptElement | null)?.dataset;
  for (const early of [true, false]) {
    furrow.push(...waiting.filter((call) => Array.isArray(call) && EARLY.test(call[0]) === early));
    if (early && data) furrow.init({ ...data, sample: +(data.sample || 1), ownHosts: data.ownHosts?.split(/[\s,]+/) } as unknown as Options);
  }
})();
