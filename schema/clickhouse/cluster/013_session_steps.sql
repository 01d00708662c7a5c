-- Made by `python -m stores.events.cluster_schema --write` from the file of one node; docs/server-mode.md says how to run it.
CREATE TABLE IF NOT EXISTS furrow.session_steps_local ON CLUSTER '{cluster}'
(
    project       LowCardinality(String),
    session_hash  UInt64,
    slot_ms       Int64,
    started_ms    Int64,
    app_version   LowCardinality(String),
    environment   LowCardinality(String),
    browser       LowCardinality(String),
    steps         Array(Int64),
    hits          Array(Int64),
    counted_us    UInt64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', counted_us)
PARTITION BY toDate(fromUnixTimestamp64Milli(slot_ms, 'UTC'))
ORDER BY (slot_ms, session_hash);

CREATE TABLE IF NOT EXISTS furrow.session_steps ON CLUSTER '{cluster}'
AS furrow.session_steps_local
ENGINE = Distributed('{cluster}', 'furrow', 'session_steps_local', session_hash);

INSERT INTO furrow.schema_versions (version) VALUES ('013_session_steps');
