--   assignee, assigned_by   a person or team, and who assigned it; NULL: the rules of owners decide
--   version                 raised by each decision, not by counts; who changes an incident may name the version that they saw
ALTER TABLE incidents
    ADD COLUMN assignee text,
    ADD COLUMN assigned_by text,
    ADD COLUMN version bigint NOT NULL DEFAULT 1,
    ADD CONSTRAINT incidents_assigned CHECK ((assignee IS NULL) = (assigned_by IS NULL));
CREATE INDEX incidents_assignee ON incidents (assignee) WHERE assignee IS NOT NULL;

-- The moves of an incident that are legal, of people and of rules: `list_legal_moves` of incidents/lifecycle.py. Another move
-- needs a row here, by a migration; a test compares both.
CREATE TABLE incident_moves (
    from_status text NOT NULL,
    to_status   text NOT NULL,
    PRIMARY KEY (from_status, to_status)
);
INSERT INTO incident_moves VALUES
    ('draft', 'confirmed'), ('draft', 'suppressed'),
    ('confirmed', 'resolved'), ('confirmed', 'suppressed'),
    ('resolved', 'confirmed'), ('resolved', 'regressed'), ('resolved', 'suppressed'),
    ('regressed', 'resolved'), ('regressed', 'suppressed'),
    ('suppressed', 'draft'), ('suppressed', 'confirmed'), ('suppressed', 'resolved'), ('suppressed', 'regressed');

CREATE FUNCTION refuse_illegal_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM incident_moves m WHERE (m.from_status, m.to_status) = (OLD.status, NEW.status)) THEN
        RAISE EXCEPTION USING
            MESSAGE = 'an incident that is ' || OLD.status || ' cannot become ' || NEW.status,
            ERRCODE = 'check_violation', CONSTRAINT = 'incident_moves';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER incidents_legal_moves BEFORE UPDATE OF status ON incidents
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION refuse_illegal_move();

CREATE FUNCTION raise_incident_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER incidents_version BEFORE UPDATE ON incidents
    FOR EACH ROW WHEN (
        (OLD.status, OLD.resolved_at, OLD.suppressed_from, OLD.suppressed_until, OLD.suppressed_sessions, OLD.generation,
         OLD.merged_into, OLD.assignee, OLD.fix_version, OLD.fix_environment, OLD.fix_next)
        IS DISTINCT FROM
        (NEW.status, NEW.resolved_at, NEW.suppressed_from, NEW.suppressed_until, NEW.suppressed_sessions, NEW.generation,
         NEW.merged_into, NEW.assignee, NEW.fix_version, NEW.fix_environment, NEW.fix_next))
    EXECUTE FUNCTION raise_incident_version();
