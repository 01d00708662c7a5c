--   remote            what the ticket showed when its state was last read (incidents/ticket_reading.py); NULL: never read
--   remote_meaning    the last known meaning of its state, or 'open' after Furrow opened it again: a change is told from this
--   remote_closed_at  since when it is closed, in the tracker's words
--   read_at           changes up to here are known
--   read_after        its state is not read before
ALTER TABLE outbox
    ADD COLUMN remote jsonb,
    ADD COLUMN remote_meaning text CHECK (remote_meaning IN ('open', 'done', 'duplicate', 'wontDo')),
    ADD COLUMN remote_closed_at timestamptz,
    ADD COLUMN read_at timestamptz,
    ADD COLUMN read_after timestamptz;
CREATE INDEX outbox_read ON outbox (tracker, read_after) WHERE ticket_key IS NOT NULL;
CREATE INDEX outbox_unknown ON outbox (tracker) WHERE remote ->> 'meaning' = 'unknown';
