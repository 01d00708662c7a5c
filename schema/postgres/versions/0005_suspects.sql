--   suspect  its sender showed more new incidents within an hour than one address may; it does not count for the confirm rule
ALTER TABLE detections ADD COLUMN suspect boolean NOT NULL DEFAULT false;
CREATE INDEX detections_suspect ON detections (incident_id, source) WHERE suspect;
