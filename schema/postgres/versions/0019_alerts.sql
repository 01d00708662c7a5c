-- Why people are to be alerted of an incident: one row for each time. `confirmed`, `regressed` and `open` are written by a trigger,
-- in the transaction that changes the incident; the others by the run that finds them.
--   occasion   which time it is: '1' where there is one alone, the generation of the incident, or the hour
--   facts      the numbers of that moment; nothing of a person
--   spread_at  when the rows of `alerts` were made, one for each channel; NULL: not yet
CREATE TABLE alert_occasions (
    incident_id  text COLLATE "C" NOT NULL REFERENCES incidents ON DELETE CASCADE,
    kind         text COLLATE "C" NOT NULL CHECK (kind IN ('confirmed', 'regressed', 'growing', 'share', 'user', 'open')),
    occasion     text COLLATE "C" NOT NULL,
    facts        jsonb NOT NULL DEFAULT '{}',
    at           timestamptz NOT NULL DEFAULT now(),
    spread_at    timestamptz,
    PRIMARY KEY (incident_id, kind, occasion)
);
CREATE INDEX alert_occasions_waiting ON alert_occasions (at) WHERE spread_at IS NULL;

-- What is owed to a channel. An alert is of an incident; a digest is of a project, and incident_id is NULL.
--   state       waiting (again after retry_at) · claimed (a run holds it until lease_until) · sending (it was begun to be sent) ·
--               sent · snoozed (it was not sent, since somebody snoozed the incident)
--   quiet       it came in quiet hours, and is sent after them together with the others
--   doubtful    a message with it was begun to be sent, and nobody knows whether it arrived
--   message_id  one message may hold several rows
--   message     what the channel calls the message, if it can be changed; shown: the state of the incident that it shows
CREATE TABLE alerts (
    alert_id     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project      text COLLATE "C" NOT NULL,
    incident_id  text COLLATE "C" REFERENCES incidents ON DELETE CASCADE,
    kind         text COLLATE "C" NOT NULL,
    occasion     text COLLATE "C" NOT NULL,
    channel      text COLLATE "C" NOT NULL,
    facts        jsonb NOT NULL DEFAULT '{}',
    state        text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'claimed', 'sending', 'sent', 'snoozed')),
    quiet        boolean NOT NULL DEFAULT false,
    doubtful     boolean NOT NULL DEFAULT false,
    attempts     integer NOT NULL DEFAULT 0,
    last_error   text,
    retry_at     timestamptz,
    lease_until  timestamptz,
    lease_token  uuid,
    message_id   uuid,
    message      jsonb,
    shown        text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    sent_at      timestamptz
);
CREATE UNIQUE INDEX alerts_once ON alerts (project, coalesce(incident_id, ''), kind, occasion, channel);
CREATE INDEX alerts_waiting ON alerts (channel, created_at) WHERE state IN ('waiting', 'claimed', 'sending');
CREATE INDEX alerts_changeable ON alerts (sent_at) WHERE message IS NOT NULL;
CREATE INDEX alerts_incident ON alerts (incident_id);

-- Incidents of which nobody wants to be alerted for a while.
CREATE TABLE alert_snoozes (
    incident_id  text COLLATE "C" PRIMARY KEY REFERENCES incidents ON DELETE CASCADE,
    until_at     timestamptz NOT NULL,
    actor        text NOT NULL,
    reason       text NOT NULL DEFAULT '',
    at           timestamptz NOT NULL DEFAULT now()
);

-- What was confirmed before alerts were known is no news.
INSERT INTO alert_occasions (incident_id, kind, occasion, spread_at)
SELECT incident_id, 'confirmed', '1', now() FROM incidents
WHERE status NOT IN ('draft', 'suppressed') OR (status = 'suppressed' AND suppressed_from <> 'draft');

-- Rows that a backup loads are inserted with their state, so they are no occasions.
CREATE FUNCTION note_alert_occasion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status IS DISTINCT FROM OLD.status AND NEW.status IN ('confirmed', 'regressed') THEN
        INSERT INTO alert_occasions (incident_id, kind, occasion)
        VALUES (NEW.incident_id, NEW.status, CASE NEW.status WHEN 'confirmed' THEN '1' ELSE NEW.generation::text END)
        ON CONFLICT DO NOTHING;
    END IF;
    IF OLD.opened_at IS NULL AND NEW.opened_at IS NOT NULL AND NEW.status = 'draft' THEN
        INSERT INTO alert_occasions (incident_id, kind, occasion)
        VALUES (NEW.incident_id, 'open', extract(epoch FROM NEW.opened_at)::bigint::text)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER incidents_alert_occasions AFTER UPDATE OF status, opened_at ON incidents
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status OR (OLD.opened_at IS NULL AND NEW.opened_at IS NOT NULL))
    EXECUTE FUNCTION note_alert_occasion();
