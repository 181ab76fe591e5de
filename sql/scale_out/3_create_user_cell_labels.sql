-- Creates the table of labels, one per cell: a compacted topic user_cell_labels and its schemas.
-- user_classifier.py --cells fills it.
-- Empty cells near users have labels too, so a user who moves to one is labelled immediately.
CREATE TABLE user_cell_labels (
  cell  INT,
  label INT,
  PRIMARY KEY (cell) NOT ENFORCED
) DISTRIBUTED BY HASH(cell) INTO 6 BUCKETS
WITH (
  'changelog.mode' = 'upsert',
  'kafka.cleanup-policy' = 'compact',
  'kafka.retention.time' = '0',
  'value.fields-include' = 'all'
);
