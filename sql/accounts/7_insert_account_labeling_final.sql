-- Copies the latest row of every labelled account.
-- Reads account_labeling, writes account_labeling_final. Runs until it is stopped.
INSERT INTO account_labeling_final (
  user_id,
  num_failed_logins,
  num_logins,
  num_bytes,
  num_hosts,
  label
)
SELECT
  user_id,
  num_failed_logins,
  num_logins,
  num_bytes,
  num_hosts,
  label
FROM account_labeling;
