-- Creates the table of labelled accounts: a compacted topic account_labeling and its schema. user_classifier.py fills
-- it: -t account_activity -o account_labeling -g account_activity
--   --features num_failed_logins,num_logins,num_bytes,num_hosts
-- The columns between user_id and label are the features, in the order of --features.
-- 'upsert' keeps the latest row of each user_id; a tombstone deletes it. 'raw' makes the key the plain user_id.
CREATE TABLE account_labeling (
  user_id           STRING,
  num_failed_logins BIGINT,
  num_logins        BIGINT,
  num_bytes         BIGINT,
  num_hosts         BIGINT,
  label             INT,
  PRIMARY KEY (user_id) NOT ENFORCED
) DISTRIBUTED BY HASH(user_id) INTO 1 BUCKETS
WITH (
  'changelog.mode' = 'upsert',
  'kafka.cleanup-policy' = 'compact',
  'kafka.retention.time' = '0',
  'key.format' = 'raw',
  'value.fields-include' = 'all'
);
