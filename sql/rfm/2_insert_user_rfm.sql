-- Computes the total amount of each user, the number of purchases, and the time of the newest one.
-- Reads transactions_enriched, writes user_rfm. Runs until it is stopped.
-- There are no windows here, so each purchase counts once. No column can be NULL, which the client would refuse.
-- $rowtime is the timestamp of the record. If your purchases have a column with their time, write MAX of that column.
INSERT INTO user_rfm (
  user_id,
  total_amount,
  num_transactions,
  last_purchase
)
SELECT
  user_id,
  COALESCE(SUM(amount), 0) AS total_amount,
  COUNT(*)                 AS num_transactions,
  MAX(`$rowtime`)          AS last_purchase
FROM transactions_enriched
WHERE user_id IS NOT NULL
GROUP BY user_id;
