/** What a page may set, and what is sent. The wire form is docs/contracts/events.md. */
export interface Options {
    /** An ingest key. Everybody can read it in the page; it can only send events. */
    key: string;
    /** The collector: `https://events.example` (then `/v1/events` follows), or the whole address to post to. */
    url?: string;
    appVersion?: string;
    environment?: string;
    /** An opaque id of the person; the collector stores a hash of it. */
    user?: string;
    /** The route of an address, where the path alone would not do: `/orders/:id`. */
    route?: (address: URL) => string;
    /** `required`: nothing runs before `consent(true)`. `memory`: it runs, and stores nothing in the browser before that. */
    consent?: "granted" | "required" | "memory";
    /** Share of sessions that are sent, 0 to 1. */
    sample?: number;
    /** Selector of elements whose clicks, fields and forms are not sent; `data-furrow-ignore` does the same. */
    ignore?: string;
    /** Selector of elements whose label is not sent; `data-furrow-mask` does the same. */
    mask?: string;
    /** Hosts of the application besides the page's own and those of its domain; all others are third parties. */
    ownHosts?: string[];
    /** Sees each event before it is sent: returns it, changed or not, or `null` to drop it. One that throws drops it. */
    beforeSend?: (event: SentEvent) => SentEvent | null;
    /** The same action failed again within 30 s. */
    onBlocked?: (blocked: Blocked) => void;
}
export interface Target {
    type: string;
    id?: string | undefined;
    selector?: string | undefined;
    tagName: string;
    label?: string | undefined;
}
export type Scalar = string | number | boolean | undefined;
export interface SentEvent {
    eventType: string;
    /** Epoch milliseconds. */
    timestamp: number;
    sessionId: string;
    route: string;
    seq: number;
    eventId: string;
    idempotencyKey: string;
    cause?: string | undefined;
    verdictFor?: string | undefined;
    userId?: string | undefined;
    target?: Target | undefined;
    metadata: Record<string, Scalar>;
}
export interface Blocked {
    request: {
        method: string;
        url: string;
    };
    /** HTTP status; 0 when no answer came. */
    status: number;
    /** How many tries of the person failed, at least 2. */
    attempts: number;
    control: Target;
}
export interface Furrow {
    init(options: Options): void;
    /** Who uses the page from now on; nothing: nobody that is known. */
    user(id?: string): void;
    /** The route that is shown now; it holds until the address changes. */
    page(route: string): void;
    /** Something worked that no request shows (a message of a socket). */
    achieved(name: string): void;
    /** Something failed that no request shows; the reason is a short text without personal data. */
    failed(name: string, reason?: string): void;
    consent(granted: boolean): void;
    /** The id of the session, for links from other tools; empty while nothing is recorded. */
    session(): string;
    stop(): void;
    /** A call as a list, `["user", "4711"]`: the form that also works before the script has loaded. */
    push(...calls: Call[]): void;
    readonly version: string;
}
export type Call = {
    [Name in Method]: [Name, ...Parameters<Furrow[Name]>];
}[Method];
type Method = Exclude<keyof Furrow, "push" | "version" | "session">;
export {};
