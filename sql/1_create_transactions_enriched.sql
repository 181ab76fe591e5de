-- Creates the table of transactions with an amount: a topic transactions_enriched and its schema. Statement 2 fills it.
-- 'retract' writes a changed row as two records: a retraction of the old row, and the new row.
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
