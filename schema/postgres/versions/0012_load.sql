-- What the detections of an incident add up to. A trigger keeps it up, whoever changes them, so that one more session costs the same
-- beside a hundred and beside a million (docs/decisions/0128). Both tables are derived from `detections`: no backup holds them.

-- What was counted for each visit of an incident: facts, one text for each, repeated where several detections have it.
-- A fact is its kind, the separator U+001F, and its value.
CREATE TABLE counted_visits (
    incident_id text COLLATE "C" NOT NULL,
    visit_id    text COLLATE "C" NOT NULL,
    facts       text[] NOT NULL,
    PRIMARY KEY (incident_id, visit_id)
);

-- How many times each fact was counted.
--   visits     sessions, ended, overcome (value ''); signals, routes, environments, appVersions, browsers (a facet's value);
--              source, source ended, source overcome (of one source; no value is kept)
--   detections detections, retracted (value ''), score, severity, day (in UTC); user, label source (no value is kept)
--   derived    users (value ''): how many have a number; label sources (label): how many sources have it;
--              sources (sessions / ended / overcome): how many sources have so many sessions, and whether half of them ended or
--              overcame the failure
--   key        MD5 of the value: values are of any length, and those of persons are not stored twice
CREATE TABLE incident_counts (
    incident_id text COLLATE "C" NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    key         uuid NOT NULL,
    value       text COLLATE "C" NOT NULL,
    number      integer NOT NULL,
    PRIMARY KEY (incident_id, kind, key)
);
CREATE INDEX incident_counts_top ON incident_counts (incident_id, kind, number DESC)
    WHERE kind IN ('signals', 'routes', 'environments', 'appVersions', 'browsers', 'label sources');
CREATE INDEX incident_counts_empty ON incident_counts (incident_id) WHERE number = 0;

-- Figures of an installation are sums over its incidents.
CREATE INDEX incident_counts_figures ON incident_counts (kind, incident_id) INCLUDE (number)
    WHERE kind IN ('detections', 'retracted');

--   searched  what a search of the list looks through, in lower case
ALTER TABLE incidents ADD COLUMN searched text COLLATE "C" GENERATED ALWAYS AS (
    lower(title || E'\n' || primary_failure_point || E'\n' || label || E'\n' || incident_id)) STORED;

CREATE INDEX detections_visit ON detections (incident_id, visit_id);
-- Examples and the representative detection are chosen in the index alone.
DROP INDEX detections_incident;
CREATE INDEX detections_incident ON detections (incident_id, score DESC, story_length, detection_id)
    INCLUDE (project, label, source) WHERE retracted_at IS NULL;
-- The scores of each source, from the highest on.
CREATE INDEX detections_scores ON detections (incident_id, score, coalesce(source, 0)) WHERE retracted_at IS NULL;
-- What the confirm rule may count.
CREATE INDEX detections_counting ON detections (incident_id, received_at)
    WHERE retracted_at IS NULL AND received_at IS NOT NULL;
-- When each version was first seen. Figures by day are counted, so that this index needs no version any more.
CREATE INDEX detections_versions ON detections (incident_id, app_version, happened_at)
    WHERE retracted_at IS NULL AND app_version <> '';
DROP INDEX detections_days;
CREATE INDEX detections_days ON detections (incident_id, happened_at) WHERE retracted_at IS NULL;
CREATE INDEX silences_newest ON silences (analysed_at DESC, project, visit_id);
CREATE INDEX silences_project ON silences (project, analysed_at DESC, visit_id);
CREATE INDEX silences_count ON silences (project, rule);
-- The order of export (incident_outbox.py), and incidents that came back, of which existing tickets are told.
DROP INDEX incidents_export;
CREATE INDEX incidents_export ON incidents (
    project, array_position(ARRAY['Critical', 'High', 'Medium', 'Low'], severity), created_at, highest_score DESC, incident_id)
    WHERE status IN ('confirmed', 'regressed');
CREATE INDEX incidents_recurred ON incidents (project) WHERE generation > 0 AND status IN ('confirmed', 'regressed');
-- The descending orders of lists (incident_orders.py), and the counts by status beside them.
CREATE INDEX incidents_by_last_seen ON incidents (coalesce(last_seen, created_at) DESC, incident_id);
CREATE INDEX incidents_by_first_seen ON incidents (coalesce(first_seen, created_at) DESC, incident_id);
CREATE INDEX incidents_by_sessions ON incidents (affected_sessions DESC, incident_id);
CREATE INDEX incidents_by_users ON incidents (affected_users DESC, incident_id);
CREATE INDEX incidents_by_score ON incidents (highest_score DESC, incident_id);
CREATE INDEX incidents_by_severity ON incidents (
    array_position(ARRAY['Low', 'Medium', 'High', 'Critical'], severity) DESC, incident_id);
CREATE INDEX incidents_counted ON incidents (project, status, withdrawn_at);
CREATE INDEX outbox_waiting ON outbox (state, updated_at DESC) WHERE state <> 'filed';

CREATE FUNCTION count_visits(incidents text[], visits text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- One transaction at a time changes the counts of an incident. Writers of detections hold this lock already.
    PERFORM FROM incidents i WHERE i.incident_id = ANY(count_visits.incidents) ORDER BY i.incident_id FOR NO KEY UPDATE;

    WITH pairs AS (
        SELECT DISTINCT incident_id COLLATE "C" AS incident_id, visit_id COLLATE "C" AS visit_id
        FROM unnest(incidents, visits) AS p(incident_id, visit_id)
    ), found AS MATERIALIZED (
        SELECT d.* FROM pairs JOIN detections d USING (incident_id, visit_id)
    ), of_visits AS (
        SELECT DISTINCT d.incident_id, d.visit_id, unnest(
            ARRAY['sessions' || E'\x1f', 'source' || E'\x1f' || coalesce(d.source, 0),
                  CASE WHEN d.ended_flow THEN 'ended' || E'\x1f' END,
                  CASE WHEN d.ended_flow THEN 'source ended' || E'\x1f' || coalesce(d.source, 0) END,
                  CASE WHEN d.resolved THEN 'overcome' || E'\x1f' END,
                  CASE WHEN d.resolved THEN 'source overcome' || E'\x1f' || coalesce(d.source, 0) END,
                  CASE WHEN d.environment <> '' THEN 'environments' || E'\x1f' || d.environment END,
                  CASE WHEN d.app_version <> '' THEN 'appVersions' || E'\x1f' || d.app_version END,
                  CASE WHEN d.browser <> '' THEN 'browsers' || E'\x1f' || d.browser END]
            || ARRAY(SELECT 'signals' || E'\x1f' || s FROM unnest(d.signals) s)
            || ARRAY(SELECT 'routes' || E'\x1f' || r FROM unnest(d.routes) r)) AS fact
        FROM found d WHERE d.retracted_at IS NULL
    ), of_detections AS (
        SELECT d.incident_id, d.visit_id, unnest(
            CASE WHEN d.retracted_at IS NOT NULL THEN ARRAY['retracted' || E'\x1f'] ELSE
            ARRAY['detections' || E'\x1f', 'score' || E'\x1f' || d.score, 'severity' || E'\x1f' || d.severity_type,
                  'day' || E'\x1f' || to_char(d.happened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'),
                  CASE WHEN d.user_hash <> '' THEN 'user' || E'\x1f' || d.user_hash END,
                  'label source' || E'\x1f' || coalesce(d.source, 0) || E'\x1f' || d.label] END) AS fact
        FROM found d
    ), fresh AS MATERIALIZED (
        SELECT incident_id, visit_id, array_agg(fact ORDER BY fact) AS facts
        FROM (SELECT * FROM of_visits UNION ALL SELECT * FROM of_detections) every WHERE fact IS NOT NULL
        GROUP BY incident_id, visit_id
    ), stored AS MATERIALIZED (
        SELECT v.* FROM pairs JOIN counted_visits v USING (incident_id, visit_id)
    ), written AS (
        INSERT INTO counted_visits AS v SELECT * FROM fresh
        ON CONFLICT (incident_id, visit_id) DO UPDATE SET facts = excluded.facts WHERE v.facts <> excluded.facts
    ), removed AS (
        DELETE FROM counted_visits v USING stored s
        WHERE (v.incident_id, v.visit_id) = (s.incident_id, s.visit_id)
          AND NOT EXISTS (SELECT FROM fresh f WHERE (f.incident_id, f.visit_id) = (s.incident_id, s.visit_id))
    ), differences AS (
        SELECT incident_id, split_part(fact, E'\x1f', 1) COLLATE "C" AS kind, substr(fact, strpos(fact, E'\x1f') + 1) AS value,
               sum(sign)::integer AS change
        FROM (SELECT incident_id, unnest(facts) AS fact, 1 AS sign FROM fresh
              UNION ALL SELECT incident_id, unnest(facts), -1 FROM stored) every
        GROUP BY incident_id, fact HAVING sum(sign) <> 0
    ), changes AS MATERIALIZED (
        SELECT incident_id, kind, md5(d.value)::uuid AS key, d.value, coalesce(c.number, 0) AS before,
               coalesce(c.number, 0) + change AS after
        FROM differences d LEFT JOIN LATERAL (
            SELECT number FROM incident_counts c
            WHERE (c.incident_id, c.kind, c.key) = (d.incident_id, d.kind, md5(d.value)::uuid)) c ON true
    ), of_sources AS (
        -- The three numbers of each source that changed, before and after.
        SELECT t.incident_id, t.key, n.kind,
               coalesce(c.before, (SELECT number FROM incident_counts k
                                   WHERE (k.incident_id, k.kind, k.key) = (t.incident_id, n.kind, t.key)), 0) AS before,
               coalesce(c.after, (SELECT number FROM incident_counts k
                                  WHERE (k.incident_id, k.kind, k.key) = (t.incident_id, n.kind, t.key)), 0) AS after
        FROM (SELECT DISTINCT incident_id, key FROM changes WHERE kind IN ('source', 'source ended', 'source overcome')) t
        CROSS JOIN (VALUES ('source' COLLATE "C"), ('source ended'), ('source overcome')) n(kind)
        LEFT JOIN changes c ON (c.incident_id, c.key, c.kind) = (t.incident_id, t.key, n.kind)
    ), sizes AS (
        SELECT incident_id, side, sum(number) FILTER (WHERE kind = 'source') AS sessions,
               sum(number) FILTER (WHERE kind = 'source ended') AS ended,
               sum(number) FILTER (WHERE kind = 'source overcome') AS overcome
        FROM (SELECT incident_id, key, kind, before AS number, -1 AS side FROM of_sources
              UNION ALL SELECT incident_id, key, kind, after, 1 FROM of_sources) every
        GROUP BY incident_id, key, side
    ), derived AS (
        SELECT incident_id, 'users' AS kind, '' AS value, (after > 0)::integer - (before > 0)::integer AS change
        FROM changes WHERE kind = 'user'
        UNION ALL
        SELECT incident_id, 'label sources', substr(value, strpos(value, E'\x1f') + 1),
               (after > 0)::integer - (before > 0)::integer
        FROM changes WHERE kind = 'label source'
        UNION ALL
        SELECT incident_id, 'sources',
               sessions || '/' || (ended * 2 >= sessions)::integer || '/' || (overcome * 2 >= sessions)::integer, side
        FROM sizes WHERE sessions > 0
    ), every AS (
        SELECT incident_id, kind, key,
               CASE WHEN kind IN ('user', 'label source', 'source', 'source ended', 'source overcome') THEN '' ELSE value END
                   AS value, after - before AS change
        FROM changes
        UNION ALL
        SELECT incident_id, kind, md5(value)::uuid, value, sum(change)::integer
        FROM derived GROUP BY incident_id, kind, value HAVING sum(change) <> 0
    )
    INSERT INTO incident_counts AS c (incident_id, kind, key, value, number)
    SELECT incident_id, kind, key, value, change FROM every ORDER BY incident_id, kind, key
    ON CONFLICT (incident_id, kind, key) DO UPDATE SET number = c.number + excluded.number;

    DELETE FROM incident_counts c WHERE c.incident_id = ANY(count_visits.incidents) AND c.number = 0;
END $$;

CREATE FUNCTION count_changed_detections() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    incidents text[];
    visits text[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(incident_id), array_agg(visit_id) INTO incidents, visits
        FROM (SELECT DISTINCT incident_id, visit_id FROM new_rows) every;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(incident_id), array_agg(visit_id) INTO incidents, visits
        FROM (SELECT DISTINCT incident_id, visit_id FROM old_rows) every;
    ELSE
        WITH pairs AS (
            SELECT o.incident_id AS old_incident, o.visit_id AS old_visit, n.incident_id, n.visit_id
            FROM old_rows o JOIN new_rows n USING (project, detection_id)
            WHERE (o.incident_id, o.visit_id, o.retracted_at IS NULL, o.source, o.ended_flow, o.resolved, o.environment,
                   o.app_version, o.browser, o.signals, o.routes, o.score, o.severity_type, o.user_hash, o.label,
                   o.happened_at)
               IS DISTINCT FROM
                  (n.incident_id, n.visit_id, n.retracted_at IS NULL, n.source, n.ended_flow, n.resolved, n.environment,
                   n.app_version, n.browser, n.signals, n.routes, n.score, n.severity_type, n.user_hash, n.label,
                   n.happened_at)
        )
        SELECT array_agg(incident_id), array_agg(visit_id) INTO incidents, visits
        FROM (SELECT incident_id, visit_id FROM pairs UNION SELECT old_incident, old_visit FROM pairs) every;
    END IF;
    IF incidents IS NOT NULL THEN
        PERFORM count_visits(incidents, visits);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION forget_counted_visits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE counted_visits, incident_counts;
    RETURN NULL;
END $$;

CREATE TRIGGER detections_inserted AFTER INSERT ON detections REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_changed_detections();
CREATE TRIGGER detections_updated AFTER UPDATE ON detections REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_changed_detections();
CREATE TRIGGER detections_deleted AFTER DELETE ON detections REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_changed_detections();
CREATE TRIGGER detections_truncated AFTER TRUNCATE ON detections
    FOR EACH STATEMENT EXECUTE FUNCTION forget_counted_visits();

-- What is there, some thousand incidents at a time.
DO $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT array_agg(incident_id) AS incidents, array_agg(visit_id) AS visits
        FROM (SELECT incident_id, visit_id, row_number() OVER (ORDER BY incident_id, visit_id) / 50000 AS place
              FROM (SELECT DISTINCT incident_id, visit_id FROM detections) pairs) placed
        GROUP BY place
    LOOP
        PERFORM count_visits(part.incidents, part.visits);
    END LOOP;
END $$;
