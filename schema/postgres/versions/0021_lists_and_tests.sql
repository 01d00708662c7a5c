-- Who owns which incident, so that a list by owner is served by an index. The rules of owners are a file that this database does not
-- know: who asks for such a list first brings the rows up to date (stores/incidents/incident_owners.py). Derived; no backup holds it.
--   owners   names in the order of the rule; one empty name: nobody
--   rules    digest of the rules that decided; NULL: what they look at was changed since
CREATE TABLE incident_owners (
    incident_id  text COLLATE "C" PRIMARY KEY REFERENCES incidents ON DELETE CASCADE,
    owners       text[] COLLATE "C" NOT NULL DEFAULT '{}',
    rules        text COLLATE "C"
);
CREATE INDEX incident_owners_names ON incident_owners USING gin (owners);
CREATE INDEX incident_owners_rules ON incident_owners (rules);

CREATE FUNCTION forget_incident_owners() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO incident_owners (incident_id) VALUES (NEW.incident_id) ON CONFLICT (incident_id) DO UPDATE SET rules = NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER incidents_without_owners AFTER INSERT ON incidents
    FOR EACH ROW EXECUTE FUNCTION forget_incident_owners();
-- What rules look at (`describe_place` of incidents/owners.py), and the person who wins over them.
CREATE TRIGGER incidents_of_other_owners AFTER UPDATE OF project, failure_point, label, assignee ON incidents
    FOR EACH ROW WHEN (
        (OLD.project, OLD.failure_point, OLD.label, OLD.assignee)
        IS DISTINCT FROM (NEW.project, NEW.failure_point, NEW.label, NEW.assignee))
    EXECUTE FUNCTION forget_incident_owners();

INSERT INTO incident_owners (incident_id) SELECT incident_id FROM incidents;

-- The last test of the channels of alerts that a person asked for on the page of settings; the next run of `alerts` sends it.
--   answers  a list of {"channel", "sent", "answer"}
CREATE TABLE alert_tests (
    is_only      boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    asked_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    asked_by     text NOT NULL,
    answered_at  timestamptz,
    answers      jsonb NOT NULL DEFAULT '[]'
);

-- What a tracker said of the whole file of ticket fields, asked once for each content of the file and other settings of the tracker.
--   access   what identifies them (`identify_access` of tasks/connections.py)
--   problem  what is wrong, in the tracker's words; '': nothing
CREATE TABLE ticket_file_checks (
    tracker     text COLLATE "C" PRIMARY KEY,
    access      text NOT NULL,
    problem     text NOT NULL,
    checked_at  timestamptz NOT NULL DEFAULT now()
);
