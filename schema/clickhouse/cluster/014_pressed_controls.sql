-- Made by `python -m stores.events.cluster_schema --write` from the file of one node; docs/server-mode.md says how to run it.
ALTER TABLE furrow.session_history_local ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS pressed_control Array(UInt64) AFTER seen_median_ms;

ALTER TABLE furrow.session_history ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS pressed_control Array(UInt64) AFTER seen_median_ms;

ALTER TABLE furrow.session_history_local ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS pressed_tries Array(UInt32) AFTER pressed_control;

ALTER TABLE furrow.session_history ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS pressed_tries Array(UInt32) AFTER pressed_control;

ALTER TABLE furrow.session_history_local ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS pressed_answered Array(UInt32) AFTER pressed_tries;

ALTER TABLE furrow.session_history ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS pressed_answered Array(UInt32) AFTER pressed_tries;

ALTER TABLE furrow.session_history_local ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS pressed_paged Array(UInt32) AFTER pressed_answered;

ALTER TABLE furrow.session_history ON CLUSTER '{cluster}' ADD COLUMN IF NOT EXISTS pressed_paged Array(UInt32) AFTER pressed_answered;

INSERT INTO furrow.schema_versions (version) VALUES ('014_pressed_controls');
