-- Creates the table of labelled users: a compacted topic user_labeling and its schema. user_classifier.py fills it.
-- Alternatively, create the topic by hand with the cleanup policy compact.
-- 'upsert' keeps the latest row of each user_id; a tombstone deletes it.
-- 'raw' makes a record's key the plain user_id without a schema, as in a topic created by hand.
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
