-- The ids of the clicks that were running when a request or an error began, separated by spaces. Old rows have none.
ALTER TABLE events ADD COLUMN IF NOT EXISTS during String AFTER prerendered;
