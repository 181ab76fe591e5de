-- The table for transactions with an amount: a topic transactions_enriched and its schema, filled by statement 2.
-- Reads nothing.
-- 'retract' writes a changed row as two records, the old row taken back and the new row.
CREATE TABLE transactions_enriched (
  transaction_id BIGINT,
  card_id        BIGINT,
  user_id        STRING,
  purchase_id    BIGINT,
  store_id       INT,
  amount         DOUBLE
) WITH (
  'changelog.mode' = 'retract'
);
