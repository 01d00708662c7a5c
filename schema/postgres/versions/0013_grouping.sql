-- Which incident a fingerprint leads to. A new version of the rules of grouping makes other fingerprints; the older ones still lead
-- to the incident that they made. One row for each fingerprint that made or joined an incident.
--   version   of the rules that made the fingerprint
--   decided   a person merged or split it: that wins over every version
CREATE TABLE incident_fingerprints (
    project     text COLLATE "C" NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    incident_id text COLLATE "C" NOT NULL REFERENCES incidents DEFERRABLE INITIALLY DEFERRED,
    version     integer NOT NULL,
    decided     boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, fingerprint)
);
CREATE INDEX incident_fingerprints_incident ON incident_fingerprints (incident_id);
INSERT INTO incident_fingerprints (project, fingerprint, incident_id, version, created_at)
SELECT project, fingerprint, incident_id, 1, created_at FROM incidents;

-- A person said that it is the same problem as another incident, which has its detections now.
ALTER TABLE incidents ADD COLUMN merged_into text COLLATE "C" REFERENCES incidents;
-- The ticket that remains for the incident at this tracker, where two incidents with tickets were merged.
ALTER TABLE outbox ADD COLUMN duplicate_of text;

-- Routes of a project, without ids and case, from which rules are learned; those that a learned rule joins are not added.
--   route   segments joined by '/', as ufse/grouping/routes.py splits them
CREATE TABLE project_routes (
    project    text COLLATE "C" NOT NULL,
    route      text COLLATE "C" NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, route)
);
-- What the routes of a project show, or a person decided: which places hold parameters and names, which first segments are locales.
--   place     '/shop/*', or a first segment such as 'it'
--   version   of the rules that learned it
CREATE TABLE route_rules (
    project    text COLLATE "C" NOT NULL,
    place      text COLLATE "C" NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('parameter', 'name', 'locale', 'word')),
    decided_by text,
    version    integer NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, place)
);
