-- Made by `python -m stores.events.cluster_schema --write` from the file of one node; docs/server-mode.md says how to run it.
CREATE TABLE IF NOT EXISTS furrow.counted_local ON CLUSTER '{cluster}'
(
    day      Date,
    ids      AggregateFunction(uniqCombined64, UInt64, UUID),
    last_us  SimpleAggregateFunction(max, Int64)
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY day
ORDER BY day;

CREATE TABLE IF NOT EXISTS furrow.counted ON CLUSTER '{cluster}'
AS furrow.counted_local
ENGINE = Distributed('{cluster}', 'furrow', 'counted_local', toUInt64(day));

INSERT INTO furrow.schema_versions (version) VALUES ('004_counted');
