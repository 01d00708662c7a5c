-- Who sent each client session: one row for each request that carried events of it, apart from the events. A source is the
-- keyed hash of an address under the salt of its day (collector/senders/receipts.py). Rows are needed until the session is analysed,
-- and to see whether late events come from the same source; after eight days they are gone by themselves.
CREATE TABLE IF NOT EXISTS receipts
(
    project        LowCardinality(String),
    session_id     String,
    received_ms    Int64,
    source_today   Int64,
    source_before  Int64,
    session_hash   UInt64 MATERIALIZED sipHash64(project, session_id)
)
ENGINE = MergeTree
PARTITION BY toDate(fromUnixTimestamp64Milli(received_ms, 'UTC'))
ORDER BY (session_hash, received_ms)
TTL toDateTime(intDiv(received_ms, 1000), 'UTC') + INTERVAL 8 DAY
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 256, ttl_only_drop_parts = 1;
