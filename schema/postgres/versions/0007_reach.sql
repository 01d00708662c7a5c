-- How many sessions reached the step of an incident, and how many it hit (docs/impact.md). The steps themselves are in ClickHouse.

-- Client sessions whose steps are to be counted: written with their detections, removed with the counts.
--   due_at             not before
--   hashes             their `session_hash`; first_received_ms: none of them began before
--   slots, steps       what is to be counted anew although its sessions are gone (an erasure)
CREATE TABLE uncounted_sessions (
    batch             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    due_at            timestamptz NOT NULL DEFAULT now(),
    hashes            bigint[] NOT NULL DEFAULT '{}',
    first_received_ms bigint NOT NULL DEFAULT 0,
    slots             bigint[] NOT NULL DEFAULT '{}',
    steps             bigint[] NOT NULL DEFAULT '{}'
);
CREATE INDEX uncounted_sessions_due ON uncounted_sessions (due_at);

-- The step of each incident that is counted.
--   code          its number in ClickHouse: the first 64 bits of the fingerprint
--   fixed_at      the fix at which its counts are divided (incidents.resolved_at when they were made)
--   confirmed_at  when that fix was confirmed by its counts
CREATE TABLE incident_steps (
    incident_id   text COLLATE "C" PRIMARY KEY REFERENCES incidents,
    code          bigint NOT NULL,
    kind          text NOT NULL,
    step          bigint NOT NULL,
    fixed_at      timestamptz,
    confirmed_at  timestamptz
);
CREATE INDEX incident_steps_step ON incident_steps (step);

-- Sessions by bucket of their first receipt: slots of 15 min, which become days when they are a day old.
--   after_fix  they began after the fix
--   facet      '' for all of them, else appVersions, environments or browsers, with its value
CREATE TABLE incident_reach (
    incident_id  text COLLATE "C" NOT NULL REFERENCES incidents,
    bucket_ms    bigint NOT NULL,
    is_day       boolean NOT NULL,
    after_fix    boolean NOT NULL,
    facet        text COLLATE "C" NOT NULL,
    value        text COLLATE "C" NOT NULL,
    reached      integer NOT NULL,
    hit          integer NOT NULL,
    PRIMARY KEY (incident_id, facet, bucket_ms, is_day, after_fix, value)
);
CREATE INDEX incident_reach_recent ON incident_reach (bucket_ms) WHERE NOT is_day;

-- From this moment on, counts are by slot; before it, by day. One row.
CREATE TABLE reach_horizon (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    horizon_ms  bigint NOT NULL
);
