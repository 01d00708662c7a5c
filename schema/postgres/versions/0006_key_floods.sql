-- Of each detection, the ingest key that its session came with, for as long as the confirm rule counts it.
--   ingest_key   number of the key (first 63 bits of its SHA-256); NULL: a trusted sender, or not known
--   key_suspect  its key showed more new incidents within an hour than one key may; it does not count for the confirm rule
ALTER TABLE detections ADD COLUMN ingest_key bigint, ADD COLUMN key_suspect boolean NOT NULL DEFAULT false;
ALTER TABLE open_detections ADD COLUMN ingest_key bigint;
CREATE INDEX detections_key_suspect ON detections (incident_id) WHERE key_suspect;
