-- Made by `python -m stores.events.cluster_schema --write` from the file of one node; docs/server-mode.md says how to run it.
CREATE TABLE IF NOT EXISTS furrow.sessions_local ON CLUSTER '{cluster}'
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', analysed_us)
PARTITION BY toDate(fromUnixTimestamp64Milli(first_received_ms, 'UTC'))
ORDER BY (project, session_hash, session_id)
SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS furrow.sessions ON CLUSTER '{cluster}'
AS furrow.sessions_local
ENGINE = Distributed('{cluster}', 'furrow', 'sessions_local', sipHash64(project, session_id));

INSERT INTO furrow.schema_versions (version) VALUES ('002_sessions');
