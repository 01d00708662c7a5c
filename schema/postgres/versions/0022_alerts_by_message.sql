-- A message that is changed is read by its id; alerts are listed, and forgotten, by age.
CREATE INDEX alerts_message ON alerts (message_id);
CREATE INDEX alerts_age ON alerts (created_at);
