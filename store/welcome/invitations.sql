-- Invitations: what a member may put on others by a commit or a creation (docs/explanation/inbox.md). An inviter has a share of each
-- inbox. What is above the share is refused before anything is stored.

-- Decisions in which one inviter invites one user come one after another, over all conversations: two at once would not see each
-- other, and pass the limits together. Nobody waits for another inviter. Above a few users one lock stands for all, because the
-- database has room for a limited number of locks. The separator is in no user id.
-- Such a large decision takes seconds. Whoever holds the row of a conversation must not wait for it (p_waits = false), else one member
-- would hold up the others by what it does elsewhere: false = the inviter is busy.
create or replace function lock_invitations(p_inviter text, p_users text[], p_waits boolean) returns boolean
language plpgsql as $$
declare
  v_inviter text := 'invitations' || chr(1) || p_inviter;
  v_all bigint := hashtextextended(v_inviter, 0);
  v_key bigint;
begin
  if cardinality(p_users) > max_invitation_locks() then
    if not p_waits then return pg_try_advisory_xact_lock(v_all); end if;
    perform pg_advisory_xact_lock(v_all);
    return true;
  end if;
  if p_waits then
    perform pg_advisory_xact_lock_shared(v_all);
  elsif not pg_try_advisory_xact_lock_shared(v_all) then
    return false;
  end if;
  for v_key in select distinct hashtextextended(v_inviter || chr(1) || u, 0) from unnest(p_users) u order by 1 loop
    perform pg_advisory_xact_lock(v_key);
  end loop;
  return true;
end $$;

-- The answer to one whose large invitation is being decided. A commit waits in its queue first, once.
create or replace function busy_inviter_refusal(op jsonb) returns jsonb
language sql immutable as $$
  select case when op ->> 'kind' = 'commit' and not op ? 'deferred'
    then refusal('deferred', jsonb_build_object('forMs', ceil(extract(epoch from max_reservation()) * 1000)::int))
    else refusal('rate-limited', '{"detail": "Another of your invitations is being decided", "forMs": 1000}') end
$$;

-- Null when p_inviter may make these users members. p_claimed: those whose key package it claimed, which asked for consent already.
-- The requests for consent that it records stay although it refuses. The caller holds the locks of lock_invitations().
create or replace function invitation_refusal(p_conversation text, p_inviter text, p_users text[], p_claimed text[]) returns jsonb
language plpgsql as $$
declare
  v_users text[] := array_remove(p_users, p_inviter);
  v_refused text[];
begin
  if cardinality(v_users) = 0 then return null; end if;
  v_refused := users_without_consent(array(select unnest(v_users) except select unnest(p_claimed)), p_inviter, p_conversation);
  if cardinality(v_refused) > 0 then
    perform request_consent(p_inviter, v_refused);
    return refusal('consent-required');
  end if;
  return unknown_inviter_refusal(p_inviter, v_users);
end $$;

-- Null when each of these users has room for one more membership by p_inviter. Counted are those of the last 24 hours in which the
-- user has not acted. Users whom the user knows have no such limit.
create or replace function unknown_inviter_refusal(p_inviter text, p_users text[]) returns jsonb
language plpgsql volatile as $$
declare
  v_since timestamptz := clock_timestamp() - invitation_period();
  v_until timestamptz;
begin
  select max(i.at) into v_until from unnest(p_users) u (user_id)
    -- The invitation whose age makes room for the next.
    cross join lateral (
      select y.at from (
        select x.at, x.conversation from invitation x
        where x.user_id = u.user_id and x.inviter = p_inviter offset 0) y
      where y.at > v_since and (
        select proven_since(m) from member m where conversation = y.conversation and user_id = u.user_id limit 1) is null
      order by y.at desc offset max_unknown_invitations() - 1 limit 1) i
    where not is_known(u.user_id, p_inviter);
  return case when v_until is not null then refusal('rate-limited', jsonb_build_object(
    'detail', 'You have put somebody who does not know you into too many conversations today',
    'forMs', greatest(1, ceil(extract(epoch from v_until - v_since) * 1000)::bigint))) end;
end $$;

-- Records that p_inviter made these users members.
create or replace function record_invitations(p_conversation bigint, p_inviter text, p_users text[]) returns void
language sql volatile as $$
  insert into invitation (user_id, inviter, conversation)
    select u, p_inviter, p_conversation from unnest(p_users) u where u <> p_inviter
$$;

-- Null when the actor may put this commit's Welcome into the inboxes of its targets. The caller holds the locks of lock_invitations().
create or replace function welcome_refusal(c conversation, p_actor text, p_role text, p_welcome bytea, p_refs bytea[],
                                           p_adds text[]) returns jsonb
language plpgsql volatile as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  -- A further device of a member withdraws nobody else's Welcome, unless its sender could have added the user as well. Somebody who
  -- joins has no Welcome from before.
  if not allows(c.policy ->> 'whoMayAdd', p_role) and exists (
       select from welcome_targets(c, p_refs, p_adds) t
       cross join lateral (
         select inviter, expires_at from welcome
         where conversation = c.key and user_id = t.user_id and device_id = t.device_id limit 1) w
       where w.inviter <> p_actor and w.expires_at > v_now)
  then
    return refusal('not-allowed', '{"detail": "A Welcome of somebody else waits for this device, and you may not add users"}');
  end if;
  -- What it replaces makes room.
  if exists (
       select from welcome_targets(c, p_refs, p_adds) t
       cross join lateral (
         select count(*) as count, coalesce(sum(size), 0) as bytes from (
           select * from welcome where user_id = t.user_id and inviter = p_actor offset 0) w
         where device_id = t.device_id and conversation <> c.key and expires_at > v_now) p
       where t.user_id <> p_actor and (p.count >= max_welcomes_per_inviter()
         or p.bytes + octet_length(p_welcome) > max_welcome_bytes_per_inviter()))
  then
    return refusal('rate-limited', jsonb_build_object(
      'detail', 'Too many of your Welcomes, or too large ones, wait for one of these users', 'forMs', extract(epoch from welcome_quota_retry()) * 1000));
  end if;
  return null;
end $$;
