-- Labels each user with the label of the user's cell, instead of the client without --cells.
-- Reads transactions_aggregate and user_cell_labels, writes user_labeling. Runs until it is stopped.
-- When labels change, only the users of cells with a new label are written again.
-- The cell is computed as in statement 2 of this folder. The keys of user_labeling are raw, as in sql/5.
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
