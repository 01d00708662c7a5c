-- What became of each client session when it was last analysed: one row, replaced as a whole, so that a rerun counts
-- nothing twice. `rules` holds, for each of its visits with negative feedback and no detection, the rule that kept it silent.
-- The partition is the day of its first receipt, which dropping that day's events drops with it, and within which versions
-- are put together. Marks are small: a batch looks up some hundred sessions that lie anywhere.
CREATE TABLE IF NOT EXISTS sessions
(
    project            LowCardinality(String),
    session_id         String,
    session_hash       UInt64,
    visits             UInt32,
    events             UInt32,
    late_events        UInt32,
    first_received_ms  Int64,
    first_ts           Int64,
    last_ts            Int64,
    detections         UInt32,
    rules              Array(LowCardinality(String)),
    analysed_us        UInt64
)
ENGINE = ReplacingMergeTree(analysed_us)
PARTITION BY toDate(fromUnixTimestamp64Milli(first_received_ms, 'UTC'))
ORDER BY (project, session_hash, session_id)
SETTINGS index_granularity = 256;
