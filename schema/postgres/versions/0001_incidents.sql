-- Keys are COLLATE "C": byte order is the same in Python and on every server, so that all writers lock in one order.

CREATE TABLE projects (
    id         text COLLATE "C" PRIMARY KEY,
    origins    text[] NOT NULL DEFAULT '{}',
    settings   jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
    key_hash   text COLLATE "C" PRIMARY KEY,
    prefix     text COLLATE "C" NOT NULL,
    project    text COLLATE "C" NOT NULL,
    role       text NOT NULL CHECK (role IN ('ingest', 'operator')),
    label      text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE INDEX api_keys_prefix ON api_keys (prefix);

-- How far each reader of the event store has come (architecture.md, Watermark).
CREATE TABLE cursors (
    name         text COLLATE "C" PRIMARY KEY,
    watermark_us bigint NOT NULL,
    seen         bigint[] NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT now()
);

-- A version is never used twice, also not by a session that left the queue and came back: a worker that still holds the old
-- one must not clear the new row.
CREATE SEQUENCE pending_versions;

CREATE TABLE pending_sessions (
    project      text COLLATE "C" NOT NULL,
    session_id   text COLLATE "C" NOT NULL,
    session_hash bigint NOT NULL,               -- ClickHouse's UInt64, as the signed number of the same bits
    version      bigint NOT NULL DEFAULT nextval('pending_versions'),
    attempts     integer NOT NULL DEFAULT 0,
    due_ms       bigint NOT NULL,               -- epoch ms
    received_ms  bigint NOT NULL,               -- epoch ms of the first receipt since the last analysis
    PRIMARY KEY (project, session_id)
);
CREATE INDEX pending_sessions_due ON pending_sessions (due_ms, project, session_id);

CREATE TABLE dead_sessions (
    project      text COLLATE "C" NOT NULL,
    session_id   text COLLATE "C" NOT NULL,
    session_hash bigint NOT NULL,
    attempts     integer NOT NULL,
    due_ms       bigint NOT NULL,
    received_ms  bigint NOT NULL,
    reason       text NOT NULL,
    died_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, session_id)
);

CREATE TABLE incidents (
    incident_id           text COLLATE "C" PRIMARY KEY,
    project               text COLLATE "C" NOT NULL,
    fingerprint           text COLLATE "C" NOT NULL,
    status                text NOT NULL DEFAULT 'draft'
                          CHECK (status IN ('draft', 'confirmed', 'resolved', 'regressed', 'suppressed')),
    -- what the live detections say, recomputed under the row lock, never counted up
    title                 text NOT NULL DEFAULT '',
    failure_point         jsonb NOT NULL DEFAULT '{}',
    primary_failure_point text NOT NULL DEFAULT '',
    label                 text NOT NULL DEFAULT '',
    route                 text NOT NULL DEFAULT '',
    severity              text NOT NULL DEFAULT 'Low' CHECK (severity IN ('Critical', 'High', 'Medium', 'Low')),
    severity_type         text NOT NULL DEFAULT 'UX',
    priority              text NOT NULL DEFAULT 'P4' CHECK (priority IN ('P0', 'P1', 'P2', 'P3', 'P4')),
    first_seen            timestamptz,
    last_seen             timestamptz,
    affected_sessions     integer NOT NULL DEFAULT 0,
    affected_users        integer NOT NULL DEFAULT 0,
    ended_sessions        integer NOT NULL DEFAULT 0,   -- of these, how many the failure ended the flow of
    overcome_sessions     integer NOT NULL DEFAULT 0,   -- and how many succeeded later
    highest_score         integer NOT NULL DEFAULT 0,
    median_score          double precision NOT NULL DEFAULT 0,
    confidence            double precision NOT NULL DEFAULT 0,
    facets                jsonb NOT NULL DEFAULT '{}',  -- {"signals": {"rage": sessions, ...}, "routes": ..., ...}
    -- what rules and people decided
    resolved_at           timestamptz,
    suppressed_from       text,
    suppressed_until      timestamptz,
    suppressed_sessions   integer,                      -- reopens when so many sessions are affected
    generation            integer NOT NULL DEFAULT 0,   -- times that it came back and must be told to the trackers again
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX incidents_project_seen ON incidents (project, last_seen DESC, incident_id);
CREATE INDEX incidents_status_seen ON incidents (status, last_seen DESC, incident_id);
CREATE INDEX incidents_route ON incidents (route);
CREATE INDEX incidents_export ON incidents (first_seen) WHERE status IN ('confirmed', 'regressed');

CREATE TABLE detections (
    project       text COLLATE "C" NOT NULL,
    detection_id  text COLLATE "C" NOT NULL,
    session_id    text COLLATE "C" NOT NULL,
    visit_id      text COLLATE "C" NOT NULL,
    visit_start   timestamptz NOT NULL,
    incident_id   text COLLATE "C" NOT NULL REFERENCES incidents,
    origin        text NOT NULL DEFAULT 'engine' CHECK (origin IN ('engine', 'external')),
    score         integer NOT NULL,
    happened_at   timestamptz NOT NULL,
    last_seen     timestamptz NOT NULL,
    user_hash     text COLLATE "C" NOT NULL DEFAULT '',
    environment   text NOT NULL DEFAULT '',
    app_version   text NOT NULL DEFAULT '',
    browser       text NOT NULL DEFAULT '',
    severity_type text NOT NULL,
    ended_flow    boolean NOT NULL,
    resolved      boolean NOT NULL,
    signals       text[] NOT NULL,
    routes        text[] NOT NULL,
    story_length  integer NOT NULL,                     -- entries of the timeline
    body          jsonb NOT NULL,                       -- the detection as the engine emitted it
    retracted_at  timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, detection_id)
) WITH (toast_tuple_target = 512);                      -- bodies out of the way of recomputing counts
CREATE INDEX detections_session ON detections (project, session_id);
CREATE INDEX detections_user ON detections (project, user_hash) WHERE user_hash <> '';
CREATE INDEX detections_incident ON detections (incident_id, score DESC, story_length, detection_id)
    WHERE retracted_at IS NULL;

CREATE TABLE incident_history (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id text COLLATE "C" NOT NULL REFERENCES incidents,
    at          timestamptz NOT NULL DEFAULT now(),
    actor       text NOT NULL,
    from_status text,
    to_status   text NOT NULL,
    reason      text NOT NULL
);
CREATE INDEX incident_history_incident ON incident_history (incident_id, id);

CREATE FUNCTION refuse_history_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING MESSAGE = 'incident_history is append-only', ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER incident_history_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON incident_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_history_change();

-- One row for each incident and tracker, made before the first call and kept for good: the ledger of tickets.
CREATE TABLE outbox (
    incident_id   text COLLATE "C" NOT NULL REFERENCES incidents,
    tracker       text COLLATE "C" NOT NULL,
    client_id     uuid NOT NULL DEFAULT gen_random_uuid(),  -- version 4, as Linear asks for; the same at every attempt
    state         text NOT NULL CHECK (state IN ('logged', 'claimed', 'retry', 'filed', 'export_failed')),
    ticket_key    text,
    url           text,
    attempts      integer NOT NULL DEFAULT 0,
    last_error    text,
    retry_at      timestamptz,
    lease_until   timestamptz,
    generation    integer NOT NULL DEFAULT 0,               -- of the incident when it was last claimed
    digest        text,                                     -- of the ticket text that was last logged
    filed_at      timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (incident_id, tracker)
);
CREATE INDEX outbox_tracker ON outbox (tracker, state);
CREATE INDEX outbox_filed ON outbox (tracker, filed_at) WHERE filed_at IS NOT NULL;
