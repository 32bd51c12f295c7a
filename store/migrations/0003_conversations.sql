-- Creation, claim check, retention and sweeps.

-- Creates a conversation; the same creator with the same content again gets it as it stands now.
create function create_conversation(p_id text, p_protocol text, p_epoch bigint, p_creator text, p_members text[],
                                    p_policy jsonb, p_group_info bytea, p_fingerprint bytea) returns text
language plpgsql as $$
declare
  c conversation;
  v_members text[] := array(select distinct u from unnest(p_members || p_creator) u);
begin
  insert into conversation (id, protocol, epoch, member_count, policy, created_by, fingerprint)
    values (p_id, p_protocol, p_epoch, cardinality(v_members), p_policy, p_creator, p_fingerprint)
    on conflict (id) do nothing returning * into c;
  if not found then
    select * into c from conversation where id = p_id;
    return case when c.created_by = p_creator and c.fingerprint = p_fingerprint and c.deleted_at is null
      then 'duplicate' else 'conversation-exists' end;
  end if;
  insert into member (conversation, user_id, role, joined_seq, joined_epoch, read_seq, read_count)
    select c.key, u, case when u = p_creator then 'admin' else 'member' end, 0, p_epoch, 0, 0 from unnest(v_members) u;
  insert into period (conversation, user_id, from_seq) select c.key, u, 1 from unnest(v_members) u;
  if p_group_info is not null then
    insert into group_info (conversation, epoch, group_info) values (c.key, p_epoch, p_group_info);
  end if;
  return 'created';
end $$;

-- Stages bytes of operations for the workflow path: one statement for many operations of many conversations. Returns the
-- keys by position: no row for users who are not members, a null key for those whose undecided bytes exceed the quota.
create function stage(p_conversation text[], p_user text[], p_epoch bigint[], p_ciphertext bytea[], p_welcome bytea[],
                      p_group_info bytea[], p_request jsonb[], p_quota bigint)
returns table (n bigint, key bigint)
language sql volatile as $$
  with input as materialized (
    select i.n, c.key as conversation, i.user_id, i.epoch, i.ciphertext, i.welcome, i.group_info, i.request
    from unnest(p_conversation, p_user, p_epoch, p_ciphertext, p_welcome, p_group_info, p_request)
         with ordinality as i (id, user_id, epoch, ciphertext, welcome, group_info, request, n)
    -- `limit 1`: look-ups by key, whatever the tables' sizes.
    cross join lateral (select key, deleted_at from conversation where id = i.id limit 1) c
    cross join lateral (select left_seq from member where conversation = c.key and user_id = i.user_id limit 1) m
    where c.deleted_at is null and m.left_seq is null
  ), over_quota as materialized (
    select array(select u.user_id from (select distinct user_id from input) u
      where (select sum(s.size) from staged s where s.user_id = u.user_id) >= p_quota) as users
  ), keyed as materialized (
    select i.*, case when i.user_id <> all (o.users) then nextval('staged_key_seq') end as key from input i, over_quota o
  ), stored as (
    insert into staged (key, conversation, user_id, epoch, size, ciphertext, welcome, group_info, request)
    overriding system value
    select k.key, k.conversation, k.user_id, k.epoch,
           length(k.ciphertext) + coalesce(length(k.welcome), 0) + coalesce(length(k.group_info), 0),
           k.ciphertext, k.welcome, k.group_info, k.request
    from keyed k where k.key is not null
  )
  select k.n, k.key from keyed k
$$;

-- Deletes staged rows that nothing can decide any more (their operations are past notAfter). It takes the conversation's
-- lock first and deletes in a second statement: a sweep that only looked would race the deciding transaction.
create function sweep_staged(p_conversation bigint, p_before timestamptz) returns bigint
language plpgsql as $$
declare
  v_count bigint;
begin
  perform from conversation where key = p_conversation for no key update;
  delete from staged where conversation = p_conversation and at < p_before;
  get diagnostics v_count = row_count;
  return v_count;
end $$;

-- Retention: takes the bodies of at most p_limit application entries that are past the policy's age; rows, seq and counts
-- stay (invariant 1). p_now is the workflow's clock. Returns when there is work again, null = never.
create function expire_bodies(p_id text, p_now timestamptz, p_limit int) returns timestamptz
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
create function purge_deleted(p_id text, p_limit int) returns boolean
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
