-- The key of a staged row. It is random, because a sequence can give a number twice: staging commits asynchronously, so a crash can
-- lose both the row and the state of the sequence. An operation that refers to the lost row must not find the bytes of another. The
-- key travels as a JSON number.
create or replace function staged_key() returns bigint
language sql volatile as $$ select floor(random() * max_safe_epoch())::bigint $$;

-- Stages bytes of operations for the workflow path: one statement for many operations of many conversations. Returns the keys by
-- position: no row for users who are not members, a null key for users whose undecided bytes exceed the quota.
-- Outsiders may stage an external commit where anyone may join by one, and a request where they may ask.
create or replace function stage(p_conversation text[], p_user text[], p_epoch bigint[], p_ciphertext bytea[], p_welcome bytea[],
                      p_group_info bytea[], p_request jsonb[], p_quota bigint)
returns table (n bigint, key bigint)
language sql volatile as $$
  with input as materialized (
    select i.n, c.key as conversation, i.user_id, i.epoch, i.ciphertext, i.welcome, i.group_info, i.request
    from unnest(p_conversation, p_user, p_epoch, p_ciphertext, p_welcome, p_group_info, p_request)
         with ordinality as i (id, user_id, epoch, ciphertext, welcome, group_info, request, n)
    -- `limit 1`: look-ups by key, whatever the tables' sizes.
    cross join lateral (select key, deleted_at, policy from conversation where id = i.id limit 1) c
    left join lateral (
      select left_seq is null as current from member where conversation = c.key and user_id = i.user_id limit 1) m on true
    where c.deleted_at is null
      and (m.current or ((i.request ? 'external' and c.policy ->> 'externalJoin' = 'anyone'
                          or i.request ? 'package' and c.policy ->> 'externalJoin' in ('anyone', 'request'))
                         and not is_barred(c.key, i.user_id)))
  ), over_quota as materialized (
    select array(select u.user_id from (select distinct user_id from input) u
      where (select sum(s.size) from staged s where s.user_id = u.user_id) >= p_quota) as users
  ), keyed as materialized (
    select i.*, case when i.user_id <> all (o.users) then staged_key() end as key from input i, over_quota o
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

-- Deletes staged rows that nothing can decide any more (their operations are past notAfter). It takes the lock of the conversation
-- first and deletes in a second statement: without the lock it could delete a row that a decision is about to store. A conversation
-- that is locked is left to the next call.
create or replace function sweep_staged(p_conversation bigint, p_before timestamptz) returns bigint
language plpgsql as $$
declare
  v_count bigint;
begin
  perform from conversation where key = p_conversation for no key update skip locked;
  if not found then return 0; end if;
  delete from staged where conversation = p_conversation and at < p_before;
  get diagnostics v_count = row_count;
  return v_count;
end $$;
