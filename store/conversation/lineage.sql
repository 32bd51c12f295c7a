-- Which life of the database this is. Two answers differ when the database was restored to an earlier state (point in time recovery and
-- promotion begin a new timeline) or into another cluster, and when an operator said so (`parley restored`): transaction ids of one say
-- nothing in the other.
-- The timeline is that of the log as it is written now: pg_control_checkpoint() tells the one before until the first checkpoint after a
-- promotion, which may take minutes. It is read here too, and not only the incarnation, because that is raised some moments later.
create or replace function database_lineage() returns text
language plpgsql stable as $$
declare
  v_place text;
begin
  begin
    v_place := (select system_identifier from pg_control_system()) || '.' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8);
  exception when insufficient_privilege then
    -- Some providers keep it from the roles of their customers. Then the incarnation has to tell.
    v_place := '';
  end;
  return left(encode(sha256(convert_to((select id from incarnation) || v_place, 'UTF8')), 'hex'), 8);
end $$;
