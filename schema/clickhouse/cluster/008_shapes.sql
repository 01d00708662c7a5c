-- Made by `python -m stores.events.cluster_schema --write` from the file of one node; docs/server-mode.md says how to run it.
ALTER TABLE furrow.events_local ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS own_id String AFTER sent_ms;

ALTER TABLE furrow.events ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS own_id String AFTER sent_ms;

ALTER TABLE furrow.events_local ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS cause String AFTER own_id;

ALTER TABLE furrow.events ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS cause String AFTER own_id;

ALTER TABLE furrow.events_local ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS verdict_for String AFTER cause;

ALTER TABLE furrow.events ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS verdict_for String AFTER cause;

ALTER TABLE furrow.events_local ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS verdict LowCardinality(String) AFTER verdict_for;

ALTER TABLE furrow.events ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS verdict LowCardinality(String) AFTER verdict_for;

ALTER TABLE furrow.events_local ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS clicks Int32 DEFAULT -1 AFTER verdict;

ALTER TABLE furrow.events ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS clicks Int32 DEFAULT -1 AFTER verdict;

ALTER TABLE furrow.events_local ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS span_ms Int64 DEFAULT -1 AFTER clicks;

ALTER TABLE furrow.events ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS span_ms Int64 DEFAULT -1 AFTER clicks;

ALTER TABLE furrow.events_local ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS body_error Int8 DEFAULT -1 AFTER span_ms;

ALTER TABLE furrow.events ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS body_error Int8 DEFAULT -1 AFTER span_ms;

ALTER TABLE furrow.events_local ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS frame String AFTER body_error;

ALTER TABLE furrow.events ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS frame String AFTER body_error;

ALTER TABLE furrow.events_local ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS prerendered Int8 DEFAULT -1 AFTER frame;

ALTER TABLE furrow.events ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS prerendered Int8 DEFAULT -1 AFTER frame;

ALTER TABLE furrow.events_local ON CLUSTER '{cluster}' MODIFY COLUMN neg UInt8 MATERIALIZED
    (event_type = 'network' AND (status = 0 OR status >= 400 OR duration_ms >= 3000 OR aborted = 1 OR body_error = 1))
    OR event_type = 'error'
    OR (event_type = 'performance' AND (duration_ms >= 3000 OR duration_ms < 0 OR perf_kind = 'slow_response'))
    OR (event_type = 'form_submit' AND valid = 0)
    OR (event_type = 'loading' AND state = 'start');

ALTER TABLE furrow.events ON CLUSTER '{cluster}' MODIFY COLUMN neg UInt8 MATERIALIZED
    (event_type = 'network' AND (status = 0 OR status >= 400 OR duration_ms >= 3000 OR aborted = 1 OR body_error = 1))
    OR event_type = 'error'
    OR (event_type = 'performance' AND (duration_ms >= 3000 OR duration_ms < 0 OR perf_kind = 'slow_response'))
    OR (event_type = 'form_submit' AND valid = 0)
    OR (event_type = 'loading' AND state = 'start');

INSERT INTO furrow.schema_versions (version) VALUES ('008_shapes');
