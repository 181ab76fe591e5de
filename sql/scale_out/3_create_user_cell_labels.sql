-- The table of labels, one for each cell: a compacted topic user_cell_labels and its schemas, filled by
-- user_classifier.py --cells. Reads nothing.
-- Every cell that users may come to has a label, also while it is empty: a user who moves is labelled at once.
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
