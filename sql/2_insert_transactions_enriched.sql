-- Gives every transaction an amount, a whole number from 0 to 99, as the Datagen template has none.
-- Reads transactions, writes transactions_enriched. Runs until it is stopped.
-- With amounts in your own transactions, leave it out and let statement 4 read them.
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
