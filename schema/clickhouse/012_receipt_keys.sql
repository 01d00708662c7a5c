-- The number of the ingest key that a session came with (core/ingest_keys.py). 0: a trusted sender, or a receipt of an older version.
ALTER TABLE receipts ADD COLUMN IF NOT EXISTS ingest_key Int64 DEFAULT 0 AFTER source_before;
