-- Creates the table of labelled users: a compacted topic user_rfm_labeling and its schema. user_classifier.py fills it:
--   -t user_rfm -o user_rfm_labeling -g user_rfm --features total_amount,num_transactions,last_purchase
-- The columns between user_id and label are the features, in the order of --features.
-- 'upsert' keeps the latest row of each user_id; a tombstone deletes it. 'raw' makes the key the plain user_id.
CREATE TABLE user_rfm_labeling (
  user_id          STRING,
  total_amount     DOUBLE,
  num_transactions BIGINT,
  last_purchase    TIMESTAMP_LTZ(3),
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
