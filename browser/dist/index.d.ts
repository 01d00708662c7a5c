/** furrow-browser: see README.md. */
import type { Furrow } from "./types";
export type * from "./types";
export declare const furrow: Furrow;
export declare const init: (options: import("./types").Options) => void, user: (id?: string) => void, page: (route: string) => void, achieved: (name: string) => void, failed: (name: string, reason?: string) => void, consent: (granted: boolean) => void, session: () => string, stop: () => void;
