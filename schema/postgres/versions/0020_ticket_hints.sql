--   hinted_at  when a webhook of the tracker named the ticket for the first time since `read-back` claimed it; NULL: none did
ALTER TABLE outbox ADD COLUMN hinted_at timestamptz;
CREATE INDEX outbox_hinted ON outbox (tracker, hinted_at) WHERE hinted_at IS NOT NULL;
CREATE INDEX outbox_key ON outbox (tracker, upper(ticket_key)) WHERE ticket_key IS NOT NULL;
CREATE INDEX outbox_client ON outbox (client_id);
