-- Shapes that SDKs report: ids by which the events of a session refer to each other, verdicts of other tools, clicks that are
-- told as one, errors in the body of a good answer, the top frame of an error's stack, pages that nobody saw yet.
-- A good answer with an error in its body may be negative feedback. Old rows have none.
ALTER TABLE events ADD COLUMN IF NOT EXISTS own_id String AFTER sent_ms;
ALTER TABLE events ADD COLUMN IF NOT EXISTS cause String AFTER own_id;
ALTER TABLE events ADD COLUMN IF NOT EXISTS verdict_for String AFTER cause;
ALTER TABLE events ADD COLUMN IF NOT EXISTS verdict LowCardinality(String) AFTER verdict_for;
ALTER TABLE events ADD COLUMN IF NOT EXISTS clicks Int32 DEFAULT -1 AFTER verdict;
ALTER TABLE events ADD COLUMN IF NOT EXISTS span_ms Int64 DEFAULT -1 AFTER clicks;
ALTER TABLE events ADD COLUMN IF NOT EXISTS body_error Int8 DEFAULT -1 AFTER span_ms;
ALTER TABLE events ADD COLUMN IF NOT EXISTS frame String AFTER body_error;
ALTER TABLE events ADD COLUMN IF NOT EXISTS prerendered Int8 DEFAULT -1 AFTER frame;
ALTER TABLE events MODIFY COLUMN neg UInt8 MATERIALIZED
    (event_type = 'network' AND (status = 0 OR status >= 400 OR duration_ms >= 3000 OR aborted = 1 OR body_error = 1))
    OR event_type = 'error'
    OR (event_type = 'performance' AND (duration_ms >= 3000 OR duration_ms < 0 OR perf_kind = 'slow_response'))
    OR (event_type = 'form_submit' AND valid = 0)
    OR (event_type = 'loading' AND state = 'start');
