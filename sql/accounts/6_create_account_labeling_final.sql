-- Creates the table for queries: a topic account_labeling_final and its schema. Statement 7 of this folder fills it.
CREATE TABLE account_labeling_final (
  user_id           STRING,
  num_failed_logins BIGINT,
  num_logins        BIGINT,
  num_bytes         BIGINT,
  num_hosts         BIGINT,
  label             INT
) WITH (
  'changelog.mode' = 'retract'
);
