-- Adds a random amount, a whole number from 0 to 99, to each transaction, because the Datagen template has none.
-- Reads transactions, writes transactions_enriched. Runs until it is stopped.
-- If your own transactions have amounts, skip this statement and read them in statement 4.
INSERT INTO transactions_enriched (
  transaction_id,
  card_id,
  user_id,
  purchase_id,
  store_id,
  amount
)
SELECT
  t.transaction_id,
  t.card_id,
  t.user_id,
  t.purchase_id,
  t.store_id,
  FLOOR(RAND() * 100) AS amount
FROM transactions t;
