-- The table of labelled users: a compacted topic user_labeling and its schema, filled by user_classifier.py.
-- Reads nothing. The alternative is to make the topic by hand, with cleanup policy compact.
-- 'upsert' keeps the latest row of each user_id; a record without value deletes it.
-- 'raw' makes a record's key the bare user_id, as in a topic made by hand, without a schema of its own.
CREATE TABLE user_labeling (
  user_id          STRING,
  total_amount     DOUBLE,
  num_transactions BIGINT,
  label            INT,
  PRIMARY KEY (user_id) NOT ENFORCED
) DISTRIBUTED BY HASH(user_id) INTO 1 BUCKETS
WITH (
  'changelog.mode' = 'upsert',
  'kafka.cleanup-policy' = 'compact',
  'kafka.retention.time' = '0',
  'key.format' = 'raw',
  'value.fields-include' = 'all'
);
