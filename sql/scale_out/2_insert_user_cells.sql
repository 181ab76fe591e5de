-- Counts the users of each cell. Reads transactions_aggregate, writes user_cells. Runs until it is stopped.
-- The width of bins is relative: 256 for each factor of e in 1 + total_amount, 16 in 1 + num_transactions, so the range
-- of the totals need not be known. cell = 1000 * amount bin + count bin. The constants are those of statement 4 and of
-- classifier/cells/lattice.py. Negative and missing totals count as 0.
-- COUNT is exact, also after any number of retractions. Start this statement while transactions_aggregate has all its
-- records; the default retention is seven days.
INSERT INTO user_cells (
  cell,
  num_users
)
SELECT
  cell,
  COUNT(*) AS num_users
FROM (
  SELECT
    1000 * CAST(FLOOR(256 * LN(1 + GREATEST(COALESCE(total_amount, 0), 0))) AS INT)
         + CAST(FLOOR(16 * LN(1 + GREATEST(COALESCE(num_transactions, 0), 0))) AS INT) AS cell
  FROM transactions_aggregate
)
GROUP BY cell;
