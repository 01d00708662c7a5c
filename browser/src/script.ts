/** The script bundle: takes its options from its own tag, and the calls that waited in `window.furrow`. */

import { safely } from "./guard";
import { furrow, servedFrom } from "./index";
import type { Call, Furrow, Options } from "./types";

const holder = window as unknown as { furrow?: Furrow | Call[] };

/** Calls that hold for the first events, too. */
const EARLY = /^(init|user|page|consent)$/;

safely(() => {
  const waiting = holder.furrow;
  if (waiting && !Array.isArray(waiting)) return; // loaded twice
  const queued = (waiting ?? []).filter(Array.isArray) as Call[];
  holder.furrow = furrow;
  const tag = document.currentScript as HTMLScriptElement | null;
  furrow.push(...queued.filter(([name]) => EARLY.test(name)));
  if (tag) {
    const { sample, ownHosts, ...given } = tag.dataset;
    servedFrom(tag.src);
    furrow.init({ ...given, sample: sample ? +sample : 1, ownHosts: ownHosts?.split(/[\s,]+/) } as unknown as Options);
  }
  furrow.push(...queued.filter(([name]) => !EARLY.test(name)));
})();
