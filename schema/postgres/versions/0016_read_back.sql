--   remote            what the ticket showed when its state was last read (incidents/ticket_reading.py); NULL: never read
--   remote_meaning    the last known meaning of its state, or 'open' after Furrow opened it again: a change is told from this
--   remote_closed_at  since when it is closed, in the tracker's words
--   read_at           changes up to here are known
--   read_after        its state is not read before
--   identity          what the ticket is known by in its tracker: the incident's id when it was filed, with a number after it for a
--                     ticket that follows a closed one
ALTER TABLE outbox
    ADD COLUMN identity text COLLATE "C",
    ADD COLUMN remote jsonb,
    ADD COLUMN remote_meaning text CHECK (remote_meaning IN ('open', 'done', 'duplicate', 'wontDo')),
    ADD COLUMN remote_closed_at timestamptz,
    ADD COLUMN read_at timestamptz,
    ADD COLUMN read_after timestamptz;
CREATE INDEX outbox_read ON outbox (tracker, read_after) WHERE ticket_key IS NOT NULL;
CREATE INDEX outbox_unknown ON outbox (tracker) WHERE remote ->> 'meaning' = 'unknown';
UPDATE outbox SET identity = incident_id WHERE ticket_key IS NOT NULL;

-- 'closed': the incident came back, and the project wants a new ticket then.
ALTER TABLE former_tickets DROP CONSTRAINT former_tickets_why_check;
ALTER TABLE former_tickets ADD CONSTRAINT former_tickets_why_check CHECK (why IN ('duplicate', 'deleted', 'closed'));
