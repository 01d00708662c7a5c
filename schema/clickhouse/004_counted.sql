-- How many events there are, distinct ones, without looking at all of them again: of each day of receipt a sketch of their
-- ids (right within half a percent, 100 kB at the most) and the last landing that it has seen.
CREATE TABLE IF NOT EXISTS counted
(
    day      Date,
    ids      AggregateFunction(uniqCombined64, UInt64, UUID),
    last_us  SimpleAggregateFunction(max, Int64)
)
ENGINE = AggregatingMergeTree
PARTITION BY day
ORDER BY day;
