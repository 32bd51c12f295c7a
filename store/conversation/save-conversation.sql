-- Writes every column of a conversation that may change: save_conversation(c). Its list of columns is made from the table
-- itself, because a list by hand can miss a column, and its value would be lost without an error. `migrate` runs this after
-- each migration.
-- The update stays HOT: values that the indexes hold (key, id, due_at) mostly stay what they were. Every update is a change for those who
-- list their conversations, so changed_xid is always this transaction.
do $do$
begin
  execute (
    select format(
      'create or replace function save_conversation(c conversation) returns void language plpgsql as
       $f$ begin update conversation set (%s) = row (%s) where key = c.key; end $f$',
      string_agg(quote_ident(attname), ', ' order by attnum), string_agg(
        case attname when 'changed_xid' then 'pg_current_xact_id()' else 'c.' || quote_ident(attname) end, ', ' order by attnum))
    from pg_attribute
    where attrelid = 'conversation'::regclass and attnum > 0 and not attisdropped and attidentity = '' and attgenerated = '');
end $do$;
