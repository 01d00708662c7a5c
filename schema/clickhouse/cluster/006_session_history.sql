-- Made by `python -m stores.events.cluster_schema --write` from the file of one node; docs/server-mode.md says how to run it.
CREATE TABLE IF NOT EXISTS furrow.session_history_local ON CLUSTER '{cluster}'
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', analysed_us)
PARTITION BY toDate(fromUnixTimestamp64Milli(first_received_ms, 'UTC'))
ORDER BY (project, session_hash)
SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS furrow.session_history ON CLUSTER '{cluster}'
AS furrow.session_history_local
ENGINE = Distributed('{cluster}', 'furrow', 'session_history_local', session_hash);

INSERT INTO furrow.schema_versions (version) VALUES ('006_session_history');
