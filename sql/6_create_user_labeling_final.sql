-- Creates the table for queries: a topic user_labeling_final and its schema. Statement 7 fills it.
CREATE TABLE user_labeling_final (
  user_id          STRING,
  total_amount     DOUBLE,
  num_transactions BIGINT,
  label            INT
) WITH (
  'changelog.mode' = 'retract'
);
