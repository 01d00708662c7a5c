-- Lists leave merged incidents out since 0013, and count by status what they show; with these columns they read the index alone,
-- also where they join tickets or owners.
DROP INDEX incidents_counted;
CREATE INDEX incidents_counted ON incidents (project, status, withdrawn_at) INCLUDE (
    merged_into, incident_id, severity, highest_score, last_seen);
