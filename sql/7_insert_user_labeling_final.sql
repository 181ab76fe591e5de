-- Copies the latest row of every labelled user.
-- Reads user_labeling, writes user_labeling_final. Runs until it is stopped.
INSERT INTO user_labeling_final (
  user_id,
  total_amount,
  num_transactions,
  label
)
SELECT
  user_id,
  total_amount,
  num_transactions,
  label
FROM user_labeling;
