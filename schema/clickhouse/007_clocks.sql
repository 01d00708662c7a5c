-- The client's own time of an event and of the sending of its request. `ts` stays the time after the correction that the event's
-- own request supports, for all rows; the engine derives one offset for the whole client session from these two and
-- `received_ms` (ufse/clocks.py). Rows stored before have -1 (unknown): their `ts` is taken as it is.
ALTER TABLE events ADD COLUMN IF NOT EXISTS client_ts Int64 DEFAULT -1 AFTER metadata;
ALTER TABLE events ADD COLUMN IF NOT EXISTS sent_ms Int64 DEFAULT -1 AFTER client_ts;
