-- Labels every user with the label of the cell, in place of the plain client.
-- Reads transactions_aggregate and user_cell_labels, writes user_labeling. Runs until it is stopped.
-- Where labels move, only users of cells whose label has changed are written again.
-- The cell is computed as in statement 2 of this folder. Keys of user_labeling are as statement 5 makes them.
INSERT INTO user_labeling (
  user_id,
  total_amount,
  num_transactions,
  label
)
SELECT
  u.user_id,
  u.total_amount,
  u.num_transactions,
  l.label
FROM user_cell_labels AS l
JOIN (
  SELECT
    user_id,
    total_amount,
    num_transactions,
    1000 * CAST(FLOOR(256 * LN(1 + GREATEST(COALESCE(total_amount, 0), 0))) AS INT)
         + CAST(FLOOR(16 * LN(1 + GREATEST(COALESCE(num_transactions, 0), 0))) AS INT) AS cell
  FROM transactions_aggregate
) AS u
ON l.cell = u.cell;
