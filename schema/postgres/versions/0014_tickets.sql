--   lease_token      of the claim that holds the row; checked right before a ticket is created and when its result is recorded
--   refused_by       hash of the tracker's settings when the tracker itself refused (token, permission, project); retry_at is then
--                    when it is tried again with the same settings
--   shown            title, priority and digest of the text as the ticket shows them after our last write
--   shown_sessions   affected sessions that the ticket's text names
--   noted_sessions   affected sessions that were last reported by the ticket itself or by a comment; noted_at: of that comment
--   upkeep_at        the ticket's facts are not looked at before
--   proved_generation  of the fix whose proof the ticket has
--   check_at, checks_left  when the tracker is next searched for a second ticket of the same identity, and how often
ALTER TABLE outbox
    ADD COLUMN lease_token uuid,
    ADD COLUMN refused_by text,
    ADD COLUMN shown jsonb,
    ADD COLUMN shown_sessions integer,
    ADD COLUMN noted_sessions integer,
    ADD COLUMN noted_at timestamptz,
    ADD COLUMN upkeep_at timestamptz,
    ADD COLUMN proved_generation integer,
    ADD COLUMN check_at timestamptz,
    ADD COLUMN checks_left integer NOT NULL DEFAULT 0;
CREATE INDEX outbox_check ON outbox (tracker, check_at) WHERE check_at IS NOT NULL;

-- Tickets that an incident has no more: a second one of the same identity ('duplicate'; closed_at: when it was closed in the
-- tracker), or one that was deleted in the tracker ('deleted').
CREATE TABLE former_tickets (
    incident_id  text COLLATE "C" NOT NULL REFERENCES incidents,
    tracker      text COLLATE "C" NOT NULL,
    ticket_key   text NOT NULL,
    why          text NOT NULL CHECK (why IN ('duplicate', 'deleted')),
    generation   integer NOT NULL DEFAULT 0,        -- of the incident when it was found
    found_at     timestamptz NOT NULL DEFAULT now(),
    closed_at    timestamptz,
    PRIMARY KEY (incident_id, tracker, ticket_key)
);
CREATE INDEX former_tickets_open ON former_tickets (tracker) WHERE why = 'duplicate' AND closed_at IS NULL;

-- Requests to one tracker, of all exporters: how many may be sent now (tokens), and the time before which it wants none.
CREATE TABLE tracker_gates (
    tracker       text COLLATE "C" PRIMARY KEY,
    tokens        double precision NOT NULL,
    refilled_at   timestamptz NOT NULL DEFAULT now(),
    closed_until  timestamptz,
    reason        text NOT NULL DEFAULT ''
);
