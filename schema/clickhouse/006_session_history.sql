-- What each analysed client session shows of the endpoints and the collector of its project (ufse/history.py): one row, replaced
-- as a whole, so that a rerun counts nothing twice and an endpoint that a later analysis no longer finds is gone. The arrays
-- have one entry for each endpoint and control. The partition is the day of its first receipt, as in `sessions`. It holds a
-- bounded number of sessions of a project and day (stores/events/event_history.py), so that reading all of them stays cheap.
CREATE TABLE IF NOT EXISTS session_history
(
    project            LowCardinality(String),
    session_hash       UInt64,
    first_received_ms  Int64,
    collector          LowCardinality(String),
    requests           UInt32,
    good               UInt32,
    timed              UInt32,
    repeated           UInt32,
    aborted            UInt32,
    clicks             UInt32,
    responded          UInt32,
    submits            UInt32,
    fields             UInt32,
    seen_endpoint      Array(LowCardinality(String)),
    seen_control       Array(UInt64),
    seen_requests      Array(UInt32),
    seen_alone         Array(UInt32),
    seen_unasked       Array(UInt32),
    seen_typed         Array(UInt32),
    seen_pressed       Array(UInt32),
    seen_good          Array(UInt32),
    seen_median_ms     Array(Int64),
    analysed_us        UInt64
)
ENGINE = ReplacingMergeTree(analysed_us)
PARTITION BY toDate(fromUnixTimestamp64Milli(first_received_ms, 'UTC'))
ORDER BY (project, session_hash)
SETTINGS index_granularity = 256;
