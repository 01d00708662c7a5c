-- Signed-in people. Only hashes are stored: who reads the database cannot use a session or a link.
--   token_hash  SHA-256 (hex) of the token that the browser keeps
--   key_hash    the operator key that the person, or the maker of the link, has; when it is revoked, the session ends
--   role        'viewer' reads, 'operator' also acts
CREATE TABLE page_sessions (
    token_hash text COLLATE "C" PRIMARY KEY,
    key_hash   text COLLATE "C" NOT NULL,
    role       text NOT NULL CHECK (role IN ('viewer', 'operator')),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX page_sessions_key ON page_sessions (key_hash);
CREATE INDEX page_sessions_expiry ON page_sessions (expires_at);

-- Links that sign one person in, once.
CREATE TABLE sign_in_links (
    token_hash text COLLATE "C" PRIMARY KEY,
    key_hash   text COLLATE "C" NOT NULL,
    role       text NOT NULL CHECK (role IN ('viewer', 'operator')),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX sign_in_links_expiry ON sign_in_links (expires_at);

-- The figures by day of an incident, read from the index alone.
CREATE INDEX detections_days ON detections (incident_id, happened_at) INCLUDE (app_version) WHERE retracted_at IS NULL;

-- Visits with a failure that was judged, without a detection, and the rule that kept them silent: the near misses. Derived: a session that is
-- analysed again replaces its rows, and retention deletes old ones.
--   visit_start, rule, text   as the engine states them
--   failure_point, score      of the nearest candidate; score is NULL when it was not scored
CREATE TABLE silences (
    project       text COLLATE "C" NOT NULL,
    visit_id      text COLLATE "C" NOT NULL,
    session_id    text COLLATE "C" NOT NULL,
    visit_start   timestamptz NOT NULL,
    rule          text COLLATE "C" NOT NULL,
    text          text NOT NULL,
    failure_point text NOT NULL,
    score         integer,
    analysed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, visit_id)
);
CREATE INDEX silences_session ON silences (project, session_id);
CREATE INDEX silences_rule ON silences (rule, analysed_at DESC);
CREATE INDEX silences_age ON silences (analysed_at);
