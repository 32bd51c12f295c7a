-- Moves the read position of a member forward and clears its explicit increments (invariant 7).
create or replace function decide_read(inout c conversation, m member, op jsonb, out result jsonb)
language plpgsql as $$
declare
  -- Entries that retention took are not counted any more: reading one of them is reading up to the oldest kept entry.
  v_seq bigint := greatest(least(coalesce((op ->> 'seq')::bigint, c.last_seq), c.last_seq), c.oldest_seq - 1);
begin
  if v_seq > m.read_seq then
    m.read_count := coalesce((select app_count from entry where conversation = c.key and seq = v_seq), c.oldest_count);
    m.read_seq := v_seq;
  end if;
  update member set read_seq = m.read_seq, read_count = m.read_count, increments_base = c.increments, changed_xid = pg_current_xact_id()
    where conversation = c.key and user_id = m.user_id;
  result := jsonb_build_object('status', 'accepted', 'unread', c.app_count - m.read_count);
end $$;
