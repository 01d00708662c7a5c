/** furrow-browser: see README.md. */
import type { Furrow, Options } from "./types";
export type * from "./types";
export declare const furrow: Furrow;
/** The address of the script itself: the collector that served it. */
export declare function servedFrom(address: string): void;
export declare const init: (options: Options) => void, user: (id?: string) => void, page: (route: string) => void, achieved: (name: string) => void, failed: (name: string, reason?: string) => void, consent: (granted: boolean) => void, session: () => string, stop: () => void;
