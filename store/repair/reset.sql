-- A reset hands a conversation over to a new one, its successor (docs/explanation/repair.md).

-- A reset, admitted: creates the successor, after which the old conversation takes no more entries.
create or replace function decide_reset(inout c conversation, op jsonb, out result jsonb)
language plpgsql as $$
declare
  v_actor text := op ->> 'actor';
  v_successor text := op ->> 'successor';
  v_undone text[] := '{}';
  v_members text[];
begin
  if trial_may_be_undone(c) then
    -- An admin who is on trial itself stays: a successor without its creator would have no leaf at all.
    v_undone := array(select user_id from member m
      where conversation = c.key and left_seq is null and on_trial(c, m) and user_id <> v_actor order by user_id);
  end if;
  v_members := array(select user_id from member where conversation = c.key and left_seq is null and user_id <> v_actor
                     except select unnest(v_undone));
  -- A chain of resets puts as many conversations on the members as creations do.
  if not lock_invitations(v_actor, v_members, false) then
    result := busy_inviter_refusal(op);
    return;
  end if;
  result := unknown_inviter_refusal(v_actor, v_members);
  if result is not null then return; end if;
  if not create_successor(c, v_actor, v_successor, v_undone) then
    result := refusal('conversation-exists');
    return;
  end if;
  c.successor := v_successor;
  perform record_change(c, 'superseded', jsonb_build_object('successor', v_successor));
  perform audit(c, v_actor, 'reset', jsonb_build_object('successor', v_successor)
    || case when v_undone = '{}' then '{}' else jsonb_build_object('barred', v_undone) end);
  result := jsonb_build_object('status', 'accepted', 'successor', v_successor);
end $$;

-- Step 9 of admit(): admins may reset; so may proven members, once the vote has opened it, or to undo the trial of an outsider.
create or replace function reset_policy_refusal(c conversation, m member) returns jsonb
language plpgsql volatile as $$
begin
  if m.role = 'admin' then return null; end if;
  if proven_since(m) is null or on_trial(c, m) then
    return refusal('not-allowed', '{"detail": "Nobody knows yet that you can follow the group"}');
  end if;
  if trial_may_be_undone(c) and is_prior(c, m) or reset_open(c) then return null; end if;
  return refusal('not-allowed', '{"detail": "Not enough members have reported that they are stuck"}');
end $$;

-- Creates the successor: members, roles and policy of the old conversation, epoch 0. Its MLS group has only the leaf of its
-- creator; the other members have a pending join until a commit has added their leaves. What was proven stays proven. Who was
-- removed or barred, and p_undone, the outsiders of a trial, cannot come back by themselves. Who is being erased, and has not left yet,
-- gets no new membership. False = the id is taken.
create or replace function create_successor(c conversation, p_user text, p_id text, p_undone text[]) returns boolean
language plpgsql as $$
declare
  s conversation;
  v_members text[] := array(
    select user_id from member m where conversation = c.key and left_seq is null
      and (user_id = p_user or (select true from erasure e where e.user_id = m.user_id and e.at >= coalesce(
        (select at from entry where conversation = c.key and seq = m.joined_seq limit 1), c.created_at) limit 1) is null)
    except select unnest(p_undone));
  v_origin bytea := chain_origin(p_id, c.protocol, 0);
begin
  insert into conversation (id, protocol, epoch, member_count, policy, created_by, fingerprint, undone_trial, chain_base, base_epoch, chain,
                            oldest_chain)
    values (p_id, c.protocol, 0, cardinality(v_members), c.policy, p_user,
            sha256(convert_to('successor of ' || c.id, 'UTF8')), cardinality(p_undone) > 0, 0, 0, v_origin, v_origin)
    on conflict (id) do nothing returning * into s;
  if not found then return false; end if;
  insert into member (conversation, user_id, role, joined_seq, joined_epoch, read_seq, read_count, awaited, proven_at, brought_by)
    select s.key, user_id, role, 0, 0, 0, 0, c.protocol = 'mls' and user_id <> p_user, coalesce(proven_since(m), case when user_id = p_user then s.created_at end), brought_by
    from member m where conversation = c.key and user_id = any (v_members);
  insert into period (conversation, user_id, from_seq)
    select s.key, user_id, 1 from member where conversation = s.key;
  insert into bar (conversation, user_id, barred_by)
    select s.key, user_id, barred_by from bar where conversation = c.key
    union all select s.key, u, p_user from unnest(p_undone) u
    union all select s.key, user_id, null from member where conversation = c.key and left_seq is not null and not left_self
    on conflict (conversation, user_id) do nothing;
  perform record_invitations(s.key, p_user, array(select user_id from member where conversation = s.key));
  perform record_change(s, 'added', jsonb_build_object('users', (select jsonb_agg(user_id) from member where conversation = s.key)));
  return true;
end $$;
