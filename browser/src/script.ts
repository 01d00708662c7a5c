/** The script bundle: takes its options from its own tag, and the calls that waited in `window.furrow`. */

import { safely } from "./guard";
import { furrow } from "./furrow";
import type { Call, Furrow, Options } from "./types";

const holder = window as unknown as { furrow?: Furrow | Call[] };

/** Calls that hold for the first events, too. */
const EARLY = /^(init|user|page|consent)$/;

safely(() => {
  const waiting = holder.furrow;
  if (waiting && !Array.isArray(waiting)) return; // loaded twice
  const pushQueued = (early: boolean) => furrow.push(...((waiting ?? []).filter((call) => Array.isArray(call) && EARLY.test(call[0]) === early)));
  holder.furrow = furrow;
  const tag = document.currentScript as HTMLScriptElement | null;
  pushQueued(true);
  if (tag) {
    const { sample, ownHosts, ...given } = tag.dataset;
    furrow.init({ ...given, sample: sample ? +sample : 1, ownHosts: ownHosts?.split(/[\s,]+/) } as unknown as Options);
  }
  pushQueued(false);
})();
