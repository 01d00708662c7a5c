-- Made by `python -m stores.events.cluster_schema --write` from the file of one node; docs/server-mode.md says how to run it.
ALTER TABLE furrow.events_local ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS client_ts Int64 DEFAULT -1 AFTER metadata;

ALTER TABLE furrow.events ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS client_ts Int64 DEFAULT -1 AFTER metadata;

ALTER TABLE furrow.events_local ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS sent_ms Int64 DEFAULT -1 AFTER client_ts;

ALTER TABLE furrow.events ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS sent_ms Int64 DEFAULT -1 AFTER client_ts;

INSERT INTO furrow.schema_versions (version) VALUES ('007_clocks');
