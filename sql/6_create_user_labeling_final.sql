-- The table to look at: a topic user_labeling_final and its schema, filled by statement 7.
-- Reads nothing.
CREATE TABLE user_labeling_final (
  user_id          STRING,
  total_amount     DOUBLE,
  num_transactions BIGINT,
  label            INT
) WITH (
  'changelog.mode' = 'retract'
);
