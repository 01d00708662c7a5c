-- Of each detection: who sent it and when we received it, for as long as the confirm rule counts it.
--   received_at  receipt of the events that it was first found in; NULL: it counts no more (older than the window)
--   source       hash of the sender (2^62 and above); a small number once the hash was forgotten, which tells only the sources
--                of one incident apart; NULL: not known, and all of those are one source
--   label        of the failing control, for the vote about the incident's title
--   contested_at when later events from another source would have changed or retracted it
ALTER TABLE detections
    ADD COLUMN received_at timestamptz,
    ADD COLUMN source bigint,
    ADD COLUMN label text NOT NULL DEFAULT '',
    ADD COLUMN contested_at timestamptz;

-- What is there was counted session by session, and goes on being counted like that.
UPDATE detections d
SET received_at = CASE WHEN d.created_at > now() - interval '31 days' THEN d.created_at END,
    source = ranked.place,
    label = coalesce(d.body -> 'context' ->> 'label', '')
FROM (
    SELECT project, detection_id, dense_rank() OVER (PARTITION BY incident_id ORDER BY visit_id) AS place FROM detections
) ranked
WHERE (d.project, d.detection_id) = (ranked.project, ranked.detection_id);

CREATE INDEX detections_source ON detections (project, source) WHERE source IS NOT NULL;
CREATE INDEX detections_received ON detections (received_at) WHERE received_at IS NOT NULL;

--   counted_sessions  affected sessions, of each source at most FURROW_CONFIRM_PER_SOURCE: what "until N more sessions" counts
--   shared_score      the highest score that sessions of two sources reach: examples above it are one source's word
--   released_at       when a person, or independent sources, let it through although it was new in a flood
ALTER TABLE incidents
    ADD COLUMN counted_sessions integer NOT NULL DEFAULT 0,
    ADD COLUMN shared_score integer NOT NULL DEFAULT 0,
    ADD COLUMN released_at timestamptz;
UPDATE incidents SET counted_sessions = affected_sessions, shared_score = highest_score;
CREATE INDEX incidents_created ON incidents (project, created_at);
DROP INDEX incidents_export;
CREATE INDEX incidents_export ON incidents (created_at) WHERE status IN ('confirmed', 'regressed');

-- Times in which a project had more new incidents within an hour than its budget. What began in one is held back.
CREATE TABLE floods (
    project    text COLLATE "C" NOT NULL,
    from_at    timestamptz NOT NULL,
    until_at   timestamptz NOT NULL,
    budget     integer NOT NULL,
    incidents  integer NOT NULL,
    PRIMARY KEY (project, from_at)
);
