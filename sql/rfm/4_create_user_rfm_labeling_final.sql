-- Creates the table for queries: a topic user_rfm_labeling_final and its schema. Statement 5 of this folder fills it.
CREATE TABLE user_rfm_labeling_final (
  user_id          STRING,
  total_amount     DOUBLE,
  num_transactions BIGINT,
  last_purchase    TIMESTAMP_LTZ(3),
  label            INT
) WITH (
  'changelog.mode' = 'retract'
);
