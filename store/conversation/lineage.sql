-- Which life of the database this is. Two answers differ when the database was restored to an earlier state (point in time recovery and
-- promotion begin a new timeline) or into another cluster: transaction ids of one say nothing in the other.
-- The timeline is that of the log as it is written now: pg_control_checkpoint() tells the one before until the first checkpoint after a
-- promotion, which may take minutes.
create or replace function database_lineage() returns text
language sql stable as $$
  select left(encode(sha256(convert_to(
    system_identifier || '.' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), 'UTF8')), 'hex'), 8)
  from pg_control_system()
$$;
