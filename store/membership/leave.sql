-- Leaving: nobody can commit their own removal in MLS. Reading ends at the own Remove proposal (without one: at the last entry),
-- sending ends at once. The removal of the user is pending (member.leaving) until a commit removes its leaves.

-- A leave, admitted.
create or replace function decide_leave(inout c conversation, m member, op jsonb, p_ciphertext bytea, out result jsonb)
language plpgsql as $$
declare
  r record;
begin
  if leave_writes_proposal(c.key, m, op) then
    if p_ciphertext is null then
      result := refusal('body-missing');
      return;
    end if;
    r := decide_message(c, op || '{"type": "proposal"}', p_ciphertext);
    c := r.c;
  end if;
  perform note_leaving(c, m.user_id);
  c := end_membership(c, m, true, true);
  if op ? 'erase' and c.protocol = 'mls' then
    -- Nobody is there who could ask others to remove what is left.
    insert into removal (conversation, user_id) values (c.key, m.user_id)
      on conflict (conversation, user_id, device_id) do update set since = clock_timestamp(), epoch = null, done_at = null, wanted = false;
  end if;
  result := jsonb_build_object('status', 'accepted', 'seq', c.last_seq, 'epoch', c.epoch);
end $$;

-- Ends the membership of a user other than by a commit, at the newest entry. p_leaving: it has leaves that a commit should remove.
-- p_self: the user left by itself.
create or replace function end_membership(inout c conversation, m member, p_leaving boolean, p_self boolean)
language plpgsql as $$
begin
  update member set left_seq = c.last_seq, left_epoch = c.epoch, left_at = clock_timestamp(), left_policy = c.policy,
                    leaving = p_leaving, left_self = p_self, awaited = false, role = 'member',
                    changed_xid = pg_current_xact_id()
    where conversation = c.key and user_id = m.user_id;
  update period set to_seq = c.last_seq where conversation = c.key and user_id = m.user_id and to_seq is null;
  perform withdraw_welcomes(c.key, array[m.user_id]);
  c.member_count := c.member_count - 1;
  perform record_change(c, 'removed', jsonb_build_object('users', array[m.user_id]));
  perform promote_new_admin(c);
end $$;

-- Step 9 of admit(): the policy may forbid the last admin to leave while other members remain. It binds an admin who has acted since
-- it joined, or who created the conversation: others did not choose the role. It binds nobody who is being erased. Then another member
-- becomes admin.
create or replace function leave_policy_refusal(c conversation, m member, op jsonb) returns jsonb
language plpgsql stable as $$
begin
  if c.policy ->> 'lastAdmin' = 'refuse' and not op ? 'erase' and (proven_since(m) is not null or m.user_id = c.created_by)
     and c.member_count > 1 and loses_last_admin(c, array[m.user_id]) then
    return refusal('not-allowed', '{"detail": "The last admin cannot leave: make somebody else admin first"}');
  end if;
  return null;
end $$;

-- Step 10 of admit().
create or replace function leave_epoch_refusal(c conversation, m member, op jsonb) returns jsonb
language plpgsql stable as $$
begin
  if not leave_writes_proposal(c.key, m, op) then return null; end if;
  return proposal_epoch_refusal(c, (op ->> 'epoch')::bigint);
end $$;

-- Whether a leave writes its own Remove proposal to the log: it came with one that the log does not have yet.
create or replace function leave_writes_proposal(p_conversation bigint, m member, op jsonb) returns boolean
language plpgsql stable as $$
begin
  return op ? 'sha256' and not exists (
    select from entry where conversation = p_conversation and message_id = op ->> 'id' and kind = 'proposal'
      and sha256 = decode(op ->> 'sha256', 'hex') and sender = m.user_id and seq >= m.joined_seq);
end $$;
