-- Moves the read position of a member (invariant 7): forward, which clears its explicit increments, or with `back` backward, which
-- leaves them. What is decided last holds.
create or replace function decide_read(inout c conversation, m member, op jsonb, out result jsonb)
language plpgsql as $$
declare
  v_back boolean := op ? 'back';
  -- Entries that retention took are not counted any more: reading one of them is reading up to the oldest kept entry. Nobody has
  -- anything to read before it joined.
  v_seq bigint := greatest(least(coalesce((op ->> 'seq')::bigint, c.last_seq), c.last_seq), c.oldest_seq - 1,
                           case when v_back then m.joined_seq end);
begin
  if v_back and v_seq < m.read_seq or not v_back and v_seq > m.read_seq then
    m.read_count := coalesce((select app_count from entry where conversation = c.key and seq = v_seq), c.oldest_count);
    m.read_seq := v_seq;
  end if;
  if not v_back then m.increments_base := c.increments; end if;
  update member set read_seq = m.read_seq, read_count = m.read_count, increments_base = m.increments_base,
      changed_xid = pg_current_xact_id()
    where conversation = c.key and user_id = m.user_id;
  result := jsonb_build_object('status', 'accepted',
    'unread', unread_count(c.app_count, m.read_count, c.expired_count, c.increments, m.increments_base));
end $$;

-- Unread messages of a member: application messages after its read position (invariant 7) of which retention has left the bodies, plus
-- explicit increments. An expired message has nothing to read, so it must not stay a badge. A deleted one counts until it was passed.
-- By columns, so that lists can call it too.
create or replace function unread_count(app_count bigint, read_count bigint, expired_count bigint, increments bigint, base bigint)
returns bigint language sql immutable as $$ select app_count - greatest(read_count, expired_count) + increments - base $$;
