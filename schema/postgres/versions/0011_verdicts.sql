-- What a person says of a session of an incident: that it was frustration, or that it was not, and why. One row for each person.
-- The facts are those of the session's best detection when the person decided; a later analysis does not change them.
--   reason   '' when it was frustration
--   note     the person's own words
--   feedback, target, route   the failure point
--   signals, rules            types of its signals, and the rules that gave points
CREATE TABLE verdicts (
    project        text COLLATE "C" NOT NULL,
    incident_id    text COLLATE "C" NOT NULL,
    session_id     text COLLATE "C" NOT NULL,
    actor          text NOT NULL,
    detection_id   text COLLATE "C" NOT NULL,
    frustrated     boolean NOT NULL,
    reason         text NOT NULL CHECK (reason IN
                   ('', 'known_slow', 'expected_refusal', 'test_traffic', 'decorative_control', 'other')),
    note           text NOT NULL,
    route          text NOT NULL,
    target         text NOT NULL,
    feedback       text NOT NULL,
    signals        text[] NOT NULL,
    rules          text[] NOT NULL,
    environment    text NOT NULL,
    app_version    text NOT NULL,
    user_hash      text COLLATE "C" NOT NULL,
    engine_version text NOT NULL,
    config_hash    text NOT NULL,
    decided_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (incident_id, session_id, actor),
    CHECK (frustrated = (reason = ''))
);
CREATE INDEX verdicts_project ON verdicts (project, decided_at DESC);
CREATE INDEX verdicts_session ON verdicts (project, session_id);

-- Exceptions of a project: what verdicts propose, what a replay found, and what a person decided. The engine reads the accepted ones.
--   exemption_id   derived from the project and the content: the same proposal is one row
--   body           the content, as `ufse.exemptions` writes it
--   user_hash      of an exception for one person's test traffic, else ''
--   state          'asked' (a replay is to come), 'tried' (it has a result), 'accepted', 'rejected', 'ended' (taken back)
--   result         what the replay found
CREATE TABLE exemptions (
    exemption_id text COLLATE "C" PRIMARY KEY,
    project      text COLLATE "C" NOT NULL,
    body         jsonb NOT NULL,
    user_hash    text COLLATE "C" NOT NULL,
    state        text NOT NULL CHECK (state IN ('asked', 'tried', 'accepted', 'rejected', 'ended')),
    actor        text NOT NULL,
    changed_at   timestamptz NOT NULL DEFAULT now(),
    asked_at     timestamptz NOT NULL DEFAULT now(),
    result       jsonb
);
CREATE INDEX exemptions_state ON exemptions (state, asked_at);
CREATE INDEX exemptions_project ON exemptions (project);

-- Who changed an exception, and why. Append-only.
CREATE TABLE exemption_history (
    id           bigserial PRIMARY KEY,
    exemption_id text COLLATE "C" NOT NULL REFERENCES exemptions ON DELETE CASCADE,
    at           timestamptz NOT NULL DEFAULT now(),
    actor        text NOT NULL,
    state        text NOT NULL,
    reason       text NOT NULL
);
CREATE INDEX exemption_history_of ON exemption_history (exemption_id, id);
