-- Made by `python -m stores.events.cluster_schema --write` from the file of one node; docs/server-mode.md says how to run it.
CREATE TABLE IF NOT EXISTS furrow.receipts_local ON CLUSTER '{cluster}'
(
    project        LowCardinality(String),
    session_id     String,
    received_ms    Int64,
    source_today   Int64,
    source_before  Int64,
    session_hash   UInt64 MATERIALIZED sipHash64(project, session_id)
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(fromUnixTimestamp64Milli(received_ms, 'UTC'))
ORDER BY (session_hash, received_ms)
TTL toDateTime(intDiv(received_ms, 1000), 'UTC') + INTERVAL 8 DAY
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, index_granularity = 256, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS furrow.receipts ON CLUSTER '{cluster}'
AS furrow.receipts_local
ENGINE = Distributed('{cluster}', 'furrow', 'receipts_local', sipHash64(project, session_id));

INSERT INTO furrow.schema_versions (version) VALUES ('005_receipts');
