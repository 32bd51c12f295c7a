-- Retention: takes the bodies of at most p_limit application entries that are past the policy's age; rows, seq and counts
-- stay (invariant 1). p_now is the workflow's clock. Returns when there is work again, null = never.
create or replace function expire_bodies(p_id text, p_now timestamptz, p_limit int) returns timestamptz
language plpgsql as $$
declare
  c conversation;
  v_age interval;
  v_last bigint;
  v_next timestamptz;
begin
  select * into c from conversation where id = p_id for no key update;
  if not found or c.deleted_at is not null then return null; end if;
  v_age := make_interval(days => (c.policy ->> 'retentionDays')::int);
  if v_age is null then
    update conversation set due_at = null where key = c.key and due_at is not null;
    return null;
  end if;
  -- Times never run backwards in a log: what is old comes first, and the rest need not be looked at.
  with next as (
    select e.seq, e.at from entry e
    where e.conversation = c.key and e.seq > c.expired_seq and e.kind = 'application'
    order by e.seq limit p_limit
  ), expired as (
    update entry e set ciphertext = null from next
    where e.conversation = c.key and e.seq = next.seq and next.at <= p_now - v_age returning e.seq
  )
  select max(seq) into v_last from expired;
  select e.at + v_age into v_next from entry e
    where e.conversation = c.key and e.seq > coalesce(v_last, c.expired_seq) and e.kind = 'application'
    order by e.seq limit 1;
  update conversation set expired_seq = coalesce(v_last, expired_seq), due_at = v_next where key = c.key;
  return v_next;
end $$;

-- Removes what a deleted conversation still holds, in pieces; true when all is gone. The tombstone stays.
create or replace function purge_deleted(p_id text, p_limit int) returns boolean
language plpgsql as $$
declare
  c conversation;
  v_count bigint;
begin
  select * into c from conversation where id = p_id for no key update;
  if not found or c.deleted_at is null then return true; end if;
  delete from entry where conversation = c.key and seq in (
    select seq from entry where conversation = c.key order by seq limit p_limit);
  get diagnostics v_count = row_count;
  if v_count = p_limit then return false; end if;
  delete from staged where conversation = c.key;
  delete from welcome where conversation = c.key;
  delete from group_info where conversation = c.key;
  -- The answer of the deletion itself stays for its retries, until its age sweeps it.
  delete from operation where conversation = c.key and kind <> 'delete';
  delete from period where conversation = c.key;
  delete from member where conversation = c.key;
  update conversation set due_at = null where key = c.key;
  return true;
end $$;
