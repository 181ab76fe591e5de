-- Counts the failed and the successful logins of each account, its bytes and its distinct hosts.
-- Reads account_events, writes account_activity. Runs until it is stopped.
-- No column can be NULL, which the client would refuse.
INSERT INTO account_activity (
  user_id,
  num_failed_logins,
  num_logins,
  num_bytes,
  num_hosts
)
SELECT
  account_id                                                       AS user_id,
  COUNT(CASE WHEN event_type = 'login' AND NOT success THEN 1 END) AS num_failed_logins,
  COUNT(CASE WHEN event_type = 'login' AND success THEN 1 END)     AS num_logins,
  COALESCE(SUM(num_bytes), 0)                                      AS num_bytes,
  COUNT(DISTINCT host)                                             AS num_hosts
FROM account_events
WHERE account_id IS NOT NULL
GROUP BY account_id;
