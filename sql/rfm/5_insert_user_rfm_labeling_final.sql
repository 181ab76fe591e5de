-- Copies the latest row of every labelled user.
-- Reads user_rfm_labeling, writes user_rfm_labeling_final. Runs until it is stopped.
INSERT INTO user_rfm_labeling_final (
  user_id,
  total_amount,
  num_transactions,
  last_purchase,
  label
)
SELECT
  user_id,
  total_amount,
  num_transactions,
  last_purchase,
  label
FROM user_rfm_labeling;
