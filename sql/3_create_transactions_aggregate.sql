-- The table of totals, one row per user: a topic transactions_aggregate and its schema, filled by statement 4.
-- Reads nothing. This is what user_classifier.py reads.
CREATE TABLE transactions_aggregate (
  user_id          STRING,
  total_amount     DOUBLE,
  num_transactions BIGINT
) WITH (
  'changelog.mode' = 'retract'
);
