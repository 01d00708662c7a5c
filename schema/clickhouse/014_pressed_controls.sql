-- How often the controls that each analysed client session pressed were answered (ufse/control_facts.py); the arrays have one entry for
-- each control. Old rows have none.
ALTER TABLE session_history ADD COLUMN IF NOT EXISTS pressed_control Array(UInt64) AFTER seen_median_ms;
ALTER TABLE session_history ADD COLUMN IF NOT EXISTS pressed_tries Array(UInt32) AFTER pressed_control;
ALTER TABLE session_history ADD COLUMN IF NOT EXISTS pressed_answered Array(UInt32) AFTER pressed_tries;
ALTER TABLE session_history ADD COLUMN IF NOT EXISTS pressed_paged Array(UInt32) AFTER pressed_answered;
