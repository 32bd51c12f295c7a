-- The chain over the log (store/log/chain.sql). Without a default and without a backfill: the tables are not rewritten, and entries
-- that are older than the chain have no value.
alter table entry add column chain bytea;
alter table conversation
  add column chain bytea,
  add column chain_base bigint,
  -- epoch in which the log began
  add column base_epoch bigint,
  add column oldest_chain bytea;
