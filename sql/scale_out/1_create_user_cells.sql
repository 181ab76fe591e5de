-- Creates the table of cells, for more users than one machine can hold: a compacted topic user_cells and its schemas.
-- Statement 2 of this folder fills it, and user_classifier.py --cells reads it. Run these statements after sql/5,
-- instead of the client without --cells: docs/scale-out.md.
-- A cell is a small rectangle of total_amount and num_transactions; num_users is the number of users in it.
CREATE TABLE user_cells (
  cell      INT,
  num_users BIGINT,
  PRIMARY KEY (cell) NOT ENFORCED
) DISTRIBUTED BY HASH(cell) INTO 6 BUCKETS
WITH (
  'changelog.mode' = 'upsert',
  'kafka.cleanup-policy' = 'compact',
  'kafka.retention.time' = '0',
  'value.fields-include' = 'all'
);
