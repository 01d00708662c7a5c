/** The script bundle: takes its options from its own tag, and the calls that waited in `window.furrow`. */

import { safely } from "./guard";
import { furrow, servedFrom } from "./index";
import type { Call, Furrow, Options } from "./types";

const holder = window as unknown as { furrow?: Furrow | Call[] };

safely(() => {
  const waiting = holder.furrow;
  if (waiting && !Array.isArray(waiting)) return; // loaded twice
  holder.furrow = furrow;
  const tag = document.currentScript as HTMLScriptElement | null;
  if (tag) {
    servedFrom(tag.src);
    const { key, url, appVersion, environment, user, consent, sample, ignore, mask, ownHosts } = tag.dataset;
    const given = { key, url, appVersion, environment, user, consent, ignore, mask, sample: sample && +sample, ownHosts: ownHosts?.split(/[\s,]+/) };
    const chosen = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    if (key) furrow.init(chosen as unknown as Options);
  }
  if (waiting) furrow.push(...waiting);
})();
