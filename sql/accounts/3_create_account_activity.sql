-- Creates the table of what each account did, one row per account: a topic account_activity and its schema.
-- Statement 4 of this folder fills it, and user_classifier.py reads it. The key of its input is always named user_id.
CREATE TABLE account_activity (
  user_id           STRING,
  num_failed_logins BIGINT,
  num_logins        BIGINT,
  num_bytes         BIGINT,
  num_hosts         BIGINT
) WITH (
  'changelog.mode' = 'retract'
);
