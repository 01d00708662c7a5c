-- Made by `python -m stores.events.cluster_schema --write` from the file of one node; docs/server-mode.md says how to run it.
ALTER TABLE furrow.events_local ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS during String AFTER prerendered;

ALTER TABLE furrow.events ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS during String AFTER prerendered;

INSERT INTO furrow.schema_versions (version) VALUES ('011_during');
