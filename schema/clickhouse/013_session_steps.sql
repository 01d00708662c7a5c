-- Which steps each analysed client session reached (ufse/steps.py), as hashes, and which incidents it shows: one row, replaced as
-- a whole, so that a rerun counts nothing twice. The table names no session and no text of a page.
--   slot_ms     first receipt, rounded down to 15 min: counts are made anew for whole slots (stores/events/session_steps.py)
--   started_ms  the earlier of its first event and its first receipt
--   hits        incidents, by the first 64 bits of their fingerprints
-- The partition is the day of its first receipt, as in `sessions`. The key begins with the slot: a run counts the last few again.
CREATE TABLE IF NOT EXISTS session_steps
(
    project       LowCardinality(String),
    session_hash  UInt64,
    slot_ms       Int64,
    started_ms    Int64,
    app_version   LowCardinality(String),
    environment   LowCardinality(String),
    browser       LowCardinality(String),
    steps         Array(Int64),
    hits          Array(Int64),
    counted_us    UInt64
)
ENGINE = ReplacingMergeTree(counted_us)
PARTITION BY toDate(fromUnixTimestamp64Milli(slot_ms, 'UTC'))
ORDER BY (slot_ms, session_hash);
