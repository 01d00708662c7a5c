/** furrow-browser: see README.md. */

import type { Furrow } from "./types";

export type * from "./types";

/** Bundled: what it loads runs when it is called. */
declare const require: (name: "./furrow") => { furrow: Furrow };

const nothing = (): void => undefined;

/** A program that makes pages on a server may import this, too: there is no page, and the calls do nothing. */
const withoutPage: Furrow = {
  version: VERSION,
  init: nothing,
  user: nothing,
  page: nothing,
  achieved: nothing,
  failed: nothing,
  consent: nothing,
  session: () => "",
  stop: nothing,
  push: nothing,
};

export const furrow: Furrow = typeof window === "undefined" ? withoutPage : require("./furrow").furrow;
export const { init, user, page, achieved, failed, consent, session, stop } = furrow;
