-- The table of cells, for more users than one machine holds: a compacted topic user_cells and its schemas, filled by
-- statement 2 of this folder. Reads nothing. To be run after sql/5, in place of the plain client: docs/scale-out.md.
-- A cell is a small rectangle of total_amount and num_transactions; num_users says how many users lie in it.
-- This is what user_classifier.py --cells reads.
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
