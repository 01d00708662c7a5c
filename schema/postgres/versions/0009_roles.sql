-- Roles: 'viewer' reads, 'operator' also acts on incidents, 'admin' also edits settings, keys and projects. Existing keys and sessions keep
-- theirs.
ALTER TABLE api_keys DROP CONSTRAINT api_keys_role_check;
ALTER TABLE api_keys ADD CONSTRAINT api_keys_role_check CHECK (role IN ('ingest', 'viewer', 'operator', 'admin'));
ALTER TABLE sign_in_links DROP CONSTRAINT sign_in_links_role_check;
ALTER TABLE sign_in_links ADD CONSTRAINT sign_in_links_role_check CHECK (role IN ('viewer', 'operator', 'admin'));
ALTER TABLE page_sessions DROP CONSTRAINT page_sessions_role_check;
ALTER TABLE page_sessions ADD CONSTRAINT page_sessions_role_check CHECK (role IN ('viewer', 'operator', 'admin'));

-- A session has a key, or a person of an OpenID provider.
--   session_id   what lists and forms call the session; it opens nothing
--   person       name of a provider's person; NULL: the session has a key
--   scopes       projects (or '*') of that person, with the role in each, as the provider's groups were at sign-in
--   project      of these the one that the person looks at; `role` is the role in it
ALTER TABLE page_sessions ALTER COLUMN key_hash DROP NOT NULL;
ALTER TABLE page_sessions ADD COLUMN session_id bigint GENERATED ALWAYS AS IDENTITY UNIQUE;
ALTER TABLE page_sessions ADD COLUMN person text;
ALTER TABLE page_sessions ADD COLUMN scopes jsonb;
ALTER TABLE page_sessions ADD COLUMN project text COLLATE "C";
ALTER TABLE page_sessions ADD CONSTRAINT page_sessions_holder CHECK (
    (key_hash IS NOT NULL AND person IS NULL) OR (key_hash IS NULL AND person IS NOT NULL AND scopes IS NOT NULL AND project IS NOT NULL)
);

-- Visits to the provider that have not come back. Only hashes are stored; the browser keeps the secret that they come from.
CREATE TABLE provider_visits (
    state_hash   text COLLATE "C" PRIMARY KEY,
    browser_hash text COLLATE "C" NOT NULL,
    target       text NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX provider_visits_expiry ON provider_visits (expires_at);

-- What people did beside moving incidents: sign-ins, refusals, roles, keys, projects. Beside it, incident_history holds what they did to
-- incidents.
--   project  to which it belongs; '*': to all, which only an admin of all projects sees
CREATE TABLE audit_log (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    actor   text NOT NULL,
    action  text COLLATE "C" NOT NULL,
    project text COLLATE "C" NOT NULL,
    subject text NOT NULL DEFAULT '',
    reason  text NOT NULL DEFAULT ''
);
CREATE INDEX audit_log_at ON audit_log (at);
CREATE INDEX incident_history_people ON incident_history (at) WHERE actor <> 'rule';

CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING MESSAGE = 'audit_log is append-only', ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
