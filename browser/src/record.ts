/** An event of this page: made here, and handed to the delivery. */

import { safely } from "./guard";
import { options } from "./options";
import { newId, sessionId } from "./session";
import type { Scalar, SentEvent } from "./types";
import { currentRoute } from "./route";
import { enqueue } from "./delivery";

export const state = {
  /** Whether events are recorded: after `init`, with consent, before `stop`. */
  $running: false,
  $user: undefined as string | undefined,
};
let seq = 0;

type Extra = Partial<Pick<SentEvent, "eventId" | "cause" | "verdictFor" | "target" | "timestamp" | "route">>;

/** Makes an event and queues it. `urgent` events are sent within a second and are the last to be dropped. */
export const record = (eventType: string, metadata: Record<string, Scalar>, extra: Extra = {}, urgent = false): SentEvent | undefined => {
  if (!state.$running) return undefined;
  const eventId = extra.eventId ?? newId();
  const made: SentEvent = {
    eventType,
    timestamp: Date.now(),
    sessionId: sessionId(),
    route: currentRoute(),
    seq: seq++,
    userId: state.$user,
    ...extra,
    eventId,
    idempotencyKey: eventId,
    metadata: { ...metadata, prerendered: (document as { prerendering?: boolean }).prerendering || undefined },
  };
  const event = options.beforeSend ? safely(options.beforeSend)(made) : made;
  if (event) enqueue(event, urgent);
  return event || undefined;
};
