-- Made by `python -m stores.events.cluster_schema --write` from the file of one node; docs/server-mode.md says how to run it.
CREATE TABLE IF NOT EXISTS furrow.events_local ON CLUSTER '{cluster}'
(
    project         LowCardinality(String),
    session_id      String,
    event_id        UUID,
    event_type      LowCardinality(String),
    ts              Int64,
    seq             Int64,
    received_ms     Int64,
    user_hash       String,
    route           LowCardinality(String),
    target_type     LowCardinality(String),
    target_id       String,
    target_selector String,
    target_tag      LowCardinality(String),
    target_label    String,
    x               Int32,
    y               Int32,
    click_count     Int32,
    input_method    LowCardinality(String),
    disabled        Int8,
    loading         Int8,
    selection       Int8,
    responded       Int8,
    action          LowCardinality(String),
    field_type      LowCardinality(String),
    depth           Int32,
    direction       LowCardinality(String),
    valid           Int8,
    nav_from        String,
    nav_type        LowCardinality(String),
    external        Int8,
    download        Int8,
    error_type      LowCardinality(String),
    message         String,
    source          String,
    third_party     Int8,
    status          Int32,
    method          LowCardinality(String),
    url             String,
    duration_ms     Int64,
    aborted         Int8,
    perf_kind       LowCardinality(String),
    state           LowCardinality(String),
    app_version     LowCardinality(String),
    environment     LowCardinality(String),
    sdk_version     LowCardinality(String),
    user_agent      LowCardinality(String),
    metadata        String,
    landed_at       DateTime64(6, 'UTC') DEFAULT now64(6),
    session_hash    UInt64 MATERIALIZED sipHash64(project, session_id),
    neg             UInt8 MATERIALIZED
        (event_type = 'network' AND (status = 0 OR status >= 400 OR duration_ms >= 3000 OR aborted = 1))
        OR event_type = 'error'
        OR (event_type = 'performance' AND (duration_ms >= 3000 OR perf_kind = 'slow_response'))
        OR (event_type = 'form_submit' AND valid = 0),
    INDEX landed landed_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(fromUnixTimestamp64Milli(received_ms, 'UTC'))
ORDER BY (project, intDiv(received_ms, 3600000), session_hash, ts)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS furrow.events ON CLUSTER '{cluster}'
AS furrow.events_local
ENGINE = Distributed('{cluster}', 'furrow', 'events_local', sipHash64(project, session_id));

INSERT INTO furrow.schema_versions (version) VALUES ('001_events');
