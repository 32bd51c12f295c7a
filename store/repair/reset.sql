-- A reset hands a conversation over to a new one, its successor (docs/explanation/repair.md).

-- A reset, admitted: creates the successor, after which the old conversation takes no more entries.
create or replace function decide_reset(inout c conversation, op jsonb, out result jsonb)
language plpgsql as $$
declare
  v_actor text := op ->> 'actor';
  v_successor text := op ->> 'successor';
  v_members text[] := array(select user_id from member where conversation = c.key and left_seq is null and user_id <> op ->> 'actor');
begin
  -- A chain of resets puts as many conversations on the members as creations do.
  perform lock_invitations(v_actor, v_members);
  result := unknown_inviter_refusal(v_actor, v_members);
  if result is not null then return; end if;
  if not create_successor(c, v_actor, v_successor) then
    result := refusal('conversation-exists');
    return;
  end if;
  c.successor := v_successor;
  perform record_change(c, 'superseded', jsonb_build_object('successor', v_successor));
  perform audit(c, v_actor, 'reset', jsonb_build_object('successor', v_successor));
  result := jsonb_build_object('status', 'accepted', 'successor', v_successor);
end $$;

-- Step 9 of admit(): admins may reset, and any member once enough members reported that they are stuck.
create or replace function reset_policy_refusal(c conversation, m member) returns jsonb
language plpgsql stable as $$
begin
  if m.role <> 'admin' and stuck_members(c) < needed_reports(c) then
    return refusal('not-allowed', '{"detail": "Not enough members have reported that they are stuck"}');
  end if;
  return null;
end $$;

-- Creates the successor: members, roles and policy of the old conversation, epoch 0. Its MLS group has only the leaf of its
-- creator; the other members have a pending join until a commit has added their leaves. False = the id is taken.
create or replace function create_successor(c conversation, p_user text, p_id text) returns boolean
language plpgsql as $$
declare
  s conversation;
begin
  insert into conversation (id, protocol, epoch, member_count, policy, created_by, fingerprint)
    values (p_id, c.protocol, 0, c.member_count, c.policy, p_user, sha256(convert_to('successor of ' || c.id, 'UTF8')))
    on conflict (id) do nothing returning * into s;
  if not found then return false; end if;
  insert into member (conversation, user_id, role, joined_seq, joined_epoch, read_seq, read_count, awaited)
    select s.key, user_id, role, 0, 0, 0, 0, c.protocol = 'mls' and user_id <> p_user
    from member where conversation = c.key and left_seq is null;
  insert into period (conversation, user_id, from_seq)
    select s.key, user_id, 1 from member where conversation = s.key;
  perform record_invitations(s.key, p_user, array(select user_id from member where conversation = s.key));
  perform record_change(s, 'added', jsonb_build_object('users', (select jsonb_agg(user_id) from member where conversation = s.key)));
  return true;
end $$;
