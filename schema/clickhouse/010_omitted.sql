-- A row of the spool omits the columns whose value is unknown: half of its bytes. The table fills them in with the same values
-- (collector/contract/rows.py); those of the other columns are the defaults of their types.
ALTER TABLE events
    MODIFY COLUMN x Int32 DEFAULT -2147483648,
    MODIFY COLUMN y Int32 DEFAULT -2147483648,
    MODIFY COLUMN click_count Int32 DEFAULT -1,
    MODIFY COLUMN disabled Int8 DEFAULT -1,
    MODIFY COLUMN loading Int8 DEFAULT -1,
    MODIFY COLUMN selection Int8 DEFAULT -1,
    MODIFY COLUMN responded Int8 DEFAULT -1,
    MODIFY COLUMN depth Int32 DEFAULT -1,
    MODIFY COLUMN valid Int8 DEFAULT -1,
    MODIFY COLUMN external Int8 DEFAULT -1,
    MODIFY COLUMN download Int8 DEFAULT -1,
    MODIFY COLUMN third_party Int8 DEFAULT -1,
    MODIFY COLUMN status Int32 DEFAULT -1,
    MODIFY COLUMN duration_ms Int64 DEFAULT -1,
    MODIFY COLUMN aborted Int8 DEFAULT -1,
    MODIFY COLUMN metadata String DEFAULT '{}';
