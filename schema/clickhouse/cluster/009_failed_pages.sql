-- Made by `python -m stores.events.cluster_schema --write` from the file of one node; docs/server-mode.md says how to run it.
ALTER TABLE furrow.events_local ON CLUSTER '{cluster}' MODIFY COLUMN neg UInt8 MATERIALIZED
    (event_type = 'network' AND (status = 0 OR status >= 400 OR duration_ms >= 3000 OR aborted = 1 OR body_error = 1))
    OR event_type = 'error'
    OR (event_type = 'navigation' AND status >= 400)
    OR (event_type = 'click' AND (responded = 0 OR disabled = 1))
    OR (event_type = 'performance' AND (duration_ms >= 3000 OR duration_ms < 0 OR perf_kind = 'slow_response'))
    OR (event_type = 'form_submit' AND valid = 0)
    OR (event_type = 'loading' AND state = 'start');

ALTER TABLE furrow.events ON CLUSTER '{cluster}' MODIFY COLUMN neg UInt8 MATERIALIZED
    (event_type = 'network' AND (status = 0 OR status >= 400 OR duration_ms >= 3000 OR aborted = 1 OR body_error = 1))
    OR event_type = 'error'
    OR (event_type = 'navigation' AND status >= 400)
    OR (event_type = 'click' AND (responded = 0 OR disabled = 1))
    OR (event_type = 'performance' AND (duration_ms >= 3000 OR duration_ms < 0 OR perf_kind = 'slow_response'))
    OR (event_type = 'form_submit' AND valid = 0)
    OR (event_type = 'loading' AND state = 'start');

INSERT INTO furrow.schema_versions (version) VALUES ('009_failed_pages');
