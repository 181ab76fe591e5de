-- Creates the table of recency, frequency and monetary value, one row per user: a topic user_rfm and its schema.
-- Statement 2 of this folder fills it, and user_classifier.py reads it. Run these statements after sql/1 and sql/2,
-- instead of sql/3 to sql/8: docs/features.md.
CREATE TABLE user_rfm (
  user_id          STRING,
  total_amount     DOUBLE,
  num_transactions BIGINT,
  last_purchase    TIMESTAMP_LTZ(3)
) WITH (
  'changelog.mode' = 'retract'
);
