-- A page that failed (the status of a navigation) is negative feedback, and so is a click of which the client says that the page did
-- not change, or that the control was disabled: a control that stays dead leaves nothing else. Old navigations have no status.
ALTER TABLE events MODIFY COLUMN neg UInt8 MATERIALIZED
    (event_type = 'network' AND (status = 0 OR status >= 400 OR duration_ms >= 3000 OR aborted = 1 OR body_error = 1))
    OR event_type = 'error'
    OR (event_type = 'navigation' AND status >= 400)
    OR (event_type = 'click' AND (responded = 0 OR disabled = 1))
    OR (event_type = 'performance' AND (duration_ms >= 3000 OR duration_ms < 0 OR perf_kind = 'slow_response'))
    OR (event_type = 'form_submit' AND valid = 0)
    OR (event_type = 'loading' AND state = 'start');
