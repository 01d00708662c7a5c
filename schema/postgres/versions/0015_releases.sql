-- Versions of a project in an environment ('': in all, or not known), told by an operator or seen in the stream.
--   released_at, added_by   of a release that was told
--   first_seen             receipt of the first session with it
--   sources                hashes of up to two senders of its sessions, until a second one is known (spread)
CREATE TABLE releases (
    project      text COLLATE "C" NOT NULL,
    environment  text COLLATE "C" NOT NULL DEFAULT '',
    version      text COLLATE "C" NOT NULL,
    branch       text NOT NULL DEFAULT '',
    released_at  timestamptz,
    added_by      text,
    first_seen   timestamptz,
    sources      bigint[] NOT NULL DEFAULT '{}',
    spread       boolean NOT NULL DEFAULT false,
    noted_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, environment, version),
    CHECK (released_at IS NOT NULL OR first_seen IS NOT NULL)
);
CREATE INDEX releases_newest ON releases (project, (coalesce(released_at, first_seen)) DESC);
CREATE INDEX releases_sources ON releases (noted_at) WHERE sources <> '{}';

-- What is known from detections so far; of how many senders is not looked up again.
INSERT INTO releases (project, environment, version, first_seen)
SELECT project, environment, app_version, min(least(coalesce(received_at, created_at), created_at))
FROM detections WHERE app_version <> '' GROUP BY project, environment, app_version;

--   fix_version      the version with the fix; '' if none is known
--   fix_environment  where it was fixed; '': everywhere
--   fix_next         the next release has the fix, and none came yet
ALTER TABLE incidents
    ADD COLUMN fix_version text NOT NULL DEFAULT '',
    ADD COLUMN fix_environment text NOT NULL DEFAULT '',
    ADD COLUMN fix_next boolean NOT NULL DEFAULT false;
CREATE INDEX incidents_fix_next ON incidents (project, incident_id) WHERE fix_next AND status = 'resolved';
CREATE INDEX incidents_fix_version ON incidents (project) WHERE fix_version <> '';

-- The fix with whose version the counts are divided; it differs from that of the incident when they are to be made anew.
ALTER TABLE incident_steps ADD COLUMN fixed_in text NOT NULL DEFAULT '';
