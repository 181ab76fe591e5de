-- Creates the table of totals, one row per user: a topic transactions_aggregate and its schema. Statement 4 fills it,
-- and user_classifier.py reads it.
CREATE TABLE transactions_aggregate (
  user_id          STRING,
  total_amount     DOUBLE,
  num_transactions BIGINT
) WITH (
  'changelog.mode' = 'retract'
);
