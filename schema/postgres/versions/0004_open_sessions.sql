-- A session that waits until it is complete is looked at before, if something in it failed.
--   failed  one of its new events may be negative feedback (the column `neg` of the events)
--   look    it has new events since the last look, and something in it failed
ALTER TABLE pending_sessions
    ADD COLUMN failed boolean NOT NULL DEFAULT false,
    ADD COLUMN look boolean NOT NULL DEFAULT false;
CREATE INDEX pending_sessions_look ON pending_sessions (due_ms, project, session_id) WHERE look;

-- Detections of sessions that go on. They are in a table of their own, so that nothing that decides about tickets counts them:
-- the complete session's detection, with the same id, goes to `detections`, and this row ends.
-- No foreign key: the incident is drafted only when enough open sessions show it.
--   retracted_at  when it ended: the session was complete, or showed something else when it went on
--   outcome       NULL: open; 'complete': the complete session shows it too; 'retracted'
--   reason        why it was retracted
CREATE TABLE open_detections (
    LIKE detections INCLUDING DEFAULTS INCLUDING STORAGE,
    outcome text CHECK (outcome IN ('complete', 'retracted')),
    reason  text NOT NULL DEFAULT '',
    PRIMARY KEY (project, detection_id)
) WITH (toast_tuple_target = 512);
CREATE INDEX open_detections_session ON open_detections (project, session_id);
CREATE INDEX open_detections_user ON open_detections (project, user_hash) WHERE user_hash <> '';
CREATE INDEX open_detections_incident ON open_detections (incident_id) WHERE retracted_at IS NULL;
CREATE INDEX open_detections_ended ON open_detections (retracted_at) WHERE retracted_at IS NOT NULL;

--   open_sessions  sessions that go on and show it; affected_sessions counts complete ones only
--   only_open      no complete session has shown it so far
--   opened_at      when enough open sessions showed it, while it was a draft
--   alerted_at     when people were alerted of that
--   withdrawn_at   it was drafted from open sessions, and none of them shows it any more: lists leave it out
ALTER TABLE incidents
    ADD COLUMN open_sessions integer NOT NULL DEFAULT 0,
    ADD COLUMN only_open boolean NOT NULL DEFAULT false,
    ADD COLUMN opened_at timestamptz,
    ADD COLUMN alerted_at timestamptz,
    ADD COLUMN withdrawn_at timestamptz;
CREATE INDEX incidents_alert ON incidents (opened_at) WHERE opened_at IS NOT NULL AND alerted_at IS NULL;
