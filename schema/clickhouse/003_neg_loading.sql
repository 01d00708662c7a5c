-- A spinner that turns for 3 s or for ever is negative feedback too, and so is a performance event without a duration:
-- `neg` must hold whatever the engine may look at, or the session never reaches it. How long a spinner turned is known only
-- from the events after it, so that every start counts here. Old rows are corrected in the background.
ALTER TABLE events MODIFY COLUMN neg UInt8 MATERIALIZED
    (event_type = 'network' AND (status = 0 OR status >= 400 OR duration_ms >= 3000 OR aborted = 1))
    OR event_type = 'error'
    OR (event_type = 'performance' AND (duration_ms >= 3000 OR duration_ms < 0 OR perf_kind = 'slow_response'))
    OR (event_type = 'form_submit' AND valid = 0)
    OR (event_type = 'loading' AND state = 'start');
ALTER TABLE events MATERIALIZE COLUMN neg;
