-- Counts the users of each cell. Reads transactions_aggregate, writes user_cells. Runs until it is stopped.
-- Cells are of relative width, 256 for each factor of e in 1 + total_amount and 16 in 1 + num_transactions, so no
-- range has to be known: cell = 1000 * column + row. The constants are those of classifier/cells/lattice.py; statement 4
-- has them, too. Totals below zero, and totals that are missing, count as 0.
-- COUNT gives whole numbers: exact however often rows are taken back. It has to begin while transactions_aggregate
-- holds all its records, which by default are kept for seven days.
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
