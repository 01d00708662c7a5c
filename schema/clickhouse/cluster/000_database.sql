-- Made by `python -m stores.events.cluster_schema --write` from the file of one node; docs/server-mode.md says how to run it.
CREATE DATABASE IF NOT EXISTS furrow ON CLUSTER '{cluster}';

CREATE TABLE IF NOT EXISTS furrow.schema_versions ON CLUSTER '{cluster}' (version String, at DateTime DEFAULT now())
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}') ORDER BY version;
