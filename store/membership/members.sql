-- Who is in a conversation: members, and the membership intervals (table `period`) that say what a user may read.

-- Users who become members by a commit: users in its adds who are not members yet, and the sender of an external commit.
create or replace function joining_users(p_conversation bigint, p_adds text[], p_external text) returns text[]
language plpgsql stable as $$
begin
  return array(
    select u from unnest(case when p_external = any (p_adds) then p_adds else p_adds || p_external end) u
    where u is not null and not exists (
      select from member x where x.conversation = p_conversation and x.user_id = u and x.left_seq is null));
end $$;

-- Of these users the current members, sorted.
create or replace function current_members_among(p_conversation bigint, p_users text[]) returns text[]
language plpgsql stable as $$
begin
  return array(select user_id from member
    where conversation = p_conversation and user_id = any (p_users) and left_seq is null order by user_id);
end $$;

-- Whether one of these users has no pending removal: then its removal is more than the end of a leave.
create or replace function has_other_than_pending_removals(p_conversation bigint, p_users text[]) returns boolean
language plpgsql stable as $$
begin
  return cardinality(p_users) > 0 and exists (select from unnest(p_users) u where not exists (
    select from member x where x.conversation = p_conversation and x.user_id = u and x.leaving));
end $$;

-- Applies the membership changes of the newest commit. p_removed: users of its removes; p_leaving: the current members among
-- them, whose membership ends now; p_brought_by: with whom the joining count as one in a vote.
create or replace function change_members(inout c conversation, p_joining text[], p_removed text[], p_leaving text[], p_brought_by text)
language plpgsql as $$
begin
  c.member_count := c.member_count + cardinality(p_joining) - cardinality(p_leaving);
  if cardinality(p_removed) > 0 then perform remove_members(c, p_removed); end if;
  if cardinality(p_leaving) > 0 then perform record_change(c, 'removed', jsonb_build_object('users', p_leaving)); end if;
  if cardinality(p_joining) > 0 then
    perform add_members(c, p_joining, p_brought_by);
    perform record_change(c, 'added', jsonb_build_object('users', p_joining));
  end if;
  -- The second case: nobody was left in the conversation before.
  if cardinality(p_leaving) > 0 or c.member_count = cardinality(p_joining) then perform promote_new_admin(c); end if;
end $$;

-- Ends the membership of users with the newest entry; the membership of those who left by themselves ended before.
create or replace function remove_members(c conversation, p_users text[]) returns void
language plpgsql as $$
begin
  update period set to_seq = c.last_seq where conversation = c.key and user_id = any (p_users) and to_seq is null;
  update member set left_seq = coalesce(left_seq, c.last_seq), left_epoch = coalesce(left_epoch, c.epoch),
                    left_at = coalesce(left_at, c.last_at), left_policy = coalesce(left_policy, c.policy),
                    leaving = false, awaited = false, role = 'member', changed_xid = pg_current_xact_id()
    where conversation = c.key and user_id = any (p_users);
  perform forget_leaves(c.key, p_users);
  perform withdraw_welcomes(c.key, p_users);
end $$;

-- Begins a membership interval of users with the newest entry, which is the commit that adds them.
create or replace function add_members(c conversation, p_users text[], p_brought_by text) returns void
language plpgsql as $$
begin
  insert into member (conversation, user_id, role, joined_seq, joined_epoch, read_seq, read_count, increments_base, brought_by)
    select c.key, u, 'member', c.last_seq, c.epoch, c.last_seq, c.app_count, c.increments, p_brought_by from unnest(p_users) u
    on conflict (conversation, user_id) do update
      set role = 'member', joined_seq = excluded.joined_seq, joined_epoch = excluded.joined_epoch,
          left_seq = null, left_epoch = null, left_at = null, left_policy = null, left_self = false, leaving = false, awaited = false,
          read_seq = excluded.read_seq, read_count = excluded.read_count, increments_base = excluded.increments_base,
          proven_at = null, brought_by = excluded.brought_by, changed_xid = excluded.changed_xid;
  perform end_leaving(c.key, p_users);
  delete from bar where conversation = c.key and user_id = any (p_users);
  -- What it could not process in an earlier membership is no vote in this one.
  delete from report where conversation = c.key and user_id = any (p_users);
  -- An interval that ended before the first entry is empty, and also began at 1: it is opened again.
  insert into period (conversation, user_id, from_seq) select c.key, u, c.last_seq from unnest(p_users) u
    on conflict (conversation, user_id, from_seq) do update set to_seq = null;
end $$;
