-- Made by `python -m stores.events.cluster_schema --write` from the file of one node; docs/server-mode.md says how to run it.
ALTER TABLE furrow.receipts_local ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS ingest_key Int64 DEFAULT 0 AFTER source_before;

ALTER TABLE furrow.receipts ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS ingest_key Int64 DEFAULT 0 AFTER source_before;

INSERT INTO furrow.schema_versions (version) VALUES ('012_receipt_keys');
