-- Makes a random event of each transaction of the sample data: two thirds logins, one third transfers. Two accounts
-- differ from the others: half of the logins of User_4 fail, and they come from all seven hosts instead of three;
-- User_8 transfers a thousand times as much. Reads transactions, writes account_events. Runs until it is stopped.
INSERT INTO account_events (
  account_id,
  event_type,
  num_bytes,
  host,
  success
)
SELECT
  user_id AS account_id,
  event_type,
  CASE
    WHEN event_type = 'login'  THEN CAST(0 AS BIGINT)
    WHEN user_id = 'User_8' THEN 1000 * num_bytes
    ELSE num_bytes
  END AS num_bytes,
  CONCAT('host-', CAST(CASE WHEN user_id = 'User_4' THEN store_id ELSE MOD(store_id, 3) END AS STRING)) AS host,
  event_type <> 'login' OR draw > CASE WHEN user_id = 'User_4' THEN 0.5 ELSE 0.05 END AS success
FROM (
  SELECT
    user_id,
    store_id,
    CASE WHEN MOD(transaction_id, 3) = 0 THEN 'transfer' ELSE 'login' END AS event_type,
    CAST(FLOOR(RAND() * 100000) AS BIGINT) AS num_bytes,
    RAND() AS draw
  FROM transactions
);
