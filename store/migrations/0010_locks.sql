-- A session that holds the row of a conversation `for update`, such as an operator's psql, blocks every insert with a foreign key to
-- it. These three tables are written outside the lock of the conversation, two of them by statements for many conversations: one
-- locked row held up all of them (docs/explanation/locks.md). The row of a conversation is never deleted, so the keys protect from
-- nothing.
--
-- The migration takes these four tables for itself, for a moment. It waits for running transactions, and everybody else waits behind
-- it. So it gives up soon and tries again, until all of them are free at once.
do $do$
declare
  v_table text;
begin
  loop
    begin
      set local lock_timeout = '200ms';
      lock table conversation, staged, device_position, computed_tree in access exclusive mode;
      foreach v_table in array array['staged', 'device_position', 'computed_tree'] loop
        execute format('alter table %I drop constraint %I', v_table, v_table || '_conversation_fkey');
      end loop;
      exit;
    exception when lock_not_available then
      perform pg_sleep(0.5);
    end;
  end loop;
end $do$;
