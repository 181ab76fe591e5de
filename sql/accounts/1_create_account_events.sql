-- Creates the table of what accounts do, one row per event: a topic account_events and its schema.
-- Statement 2 of this folder fills it with sample events. If you have a topic of events, skip both statements and read
-- it in statement 4. Statement 2 needs the topic transactions of the Datagen connector: docs/features.md.
CREATE TABLE account_events (
  account_id STRING,
  event_type STRING,
  num_bytes  BIGINT,
  host       STRING,
  success    BOOLEAN
) WITH (
  'changelog.mode' = 'append'
);
