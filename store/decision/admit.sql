-- Order of checks. Every operation passes through admit(), the only place that knows the order:
--
--   1  bytes missing     body-missing (internal)    all but messages: their sender and content went with the bytes
--   2  never a member    not-found
--   3  earlier answer    log-restarted of an operation whose stated position the log does not have; else the original answer,
--                        id-reused
--   4  bytes missing     body-missing (internal)    messages, which step 3 answers by their hash
--   5  membership        removed, also of a user whom an operator removed from everywhere; of an external commit: not-found,
--                        not-allowed
--   6  deadline          deadline
--   7  successor         superseded
--   8  pending join      not-allowed               one gate for all kinds; pending_join_refusal() lists who may pass
--   9  policy            not-allowed, commit-required
--   10 epoch             epoch-ahead, epoch-conflict, epoch-too-old, proposal-stale, group-info-stale
--
-- After that each kind has checks of its own (decide_commit(), decide_role() and so on).
--
-- Exceptions, each named where it is made:
--   reading              steps 7 and 8 do not hold: it changes nothing for others
--   reporting            step 8 does not hold: a report is how a member without a leaf says that nobody lets it in
--   deleting             step 7 does not hold: it stays possible after a reset
--   leaving              without a proposal steps 7, 8 and 10 do not hold: everybody may leave, and nothing enters the log
--   resetting            step 7 repeats the answer when the same successor is asked for again; step 8 lets a reset pass that
--                        reports have opened, else nobody could repair a group whose first member lets nobody in
--   GroupInfo            step 3 does not exist: the first GroupInfo of an epoch stays, unless an admin replaces it
--   requests to join     step 2 does not hold; step 5 asks who may ask; step 7 hides the successor from outsiders
--   removals             after step 10: while leaves should have gone long ago, other commits wait (removals.sql)
--   external commits     steps 2 and 8 do not hold; step 5 asks who may join; step 7 hides the successor from outsiders
--   trial                after step 10: while an outsider's epoch is on trial, commits of other outsiders wait (trial.sql)
--   fairness             after step 10: commit contention is judged for commits of the current epoch only, and a commit that
--                        lost the epoch is counted after it was refused
--   sets of messages     decide_messages() states steps 2 to 10 once more as one `case`, for a run of messages in one
--                        statement; step 7 and a trial make it leave the run to admit()
--
-- docs/explanation/order-of-checks.md explains the order; test/integration/store/order-of-checks.test.ts holds it.

-- Null when the operation may go on to the checks of its kind, else its answer: an earlier one, or a refusal.
-- op: with its sender (`actor`), epoch and content, wherever these were stored. p_bytes_missing: no sender or no bytes.
-- Each transaction prepares every expression that it reaches anew, and calls cost more than comparisons. Therefore checks of
-- one kind are reached for this kind only, and one condition skips the rare checks together.
create or replace function admit(c conversation, m member, op jsonb, p_bytes_missing boolean) returns jsonb
language plpgsql as $$
declare
  v_kind text := op ->> 'kind';
  v_answer jsonb;
begin
  -- 1, 2 and the position of 3. No answer of either when the sender is known, is or was a member, and states no position.
  if p_bytes_missing or m.user_id is null or op ? 'position' then
    v_answer := coalesce(
      case when p_bytes_missing and v_kind <> 'message' then refusal('body-missing') end,
      never_member_refusal(m, op),
      case when op ? 'position' then position_refusal(c, m, op) end);
    if v_answer is not null then return v_answer; end if;
  end if;

  -- 3
  if v_kind = 'message' then
    v_answer := earlier_message(c.key, op, m.user_id, m.left_seq);
  else
    v_answer := earlier_answer(c, m, op);
  end if;
  if v_answer is not null then return v_answer; end if;

  -- 4 to 8. No answer of either when none of these conditions holds.
  if p_bytes_missing or op ? 'external' or v_kind = 'join-request' or m.left_seq is not null or past_deadline(op) or c.successor is not null or m.awaited
     or exists (select from off_boarding where user_id = op ->> 'actor' and device_id = '' and ended_at is null) then
    v_answer := coalesce(
      case when p_bytes_missing then refusal('body-missing') end,
      membership_refusal(c, m, op),
      cut_off_refusal(c, m, op),
      case when past_deadline(op) then refusal('deadline') end,
      successor_refusal(c, m, op),
      pending_join_refusal(c, m, op));
    if v_answer is not null then return v_answer; end if;
  end if;

  -- 9 and 10
  case v_kind
    when 'message' then
      if op ? 'type' then
        return coalesce(propose_policy_refusal(c, m), proposal_epoch_refusal(c, (op ->> 'epoch')::bigint));
      end if;
      return application_epoch_refusal(c, (op ->> 'epoch')::bigint);
    when 'commit' then return coalesce(commit_policy_refusal(c, m, op), commit_epoch_refusal(c, m, (op ->> 'epoch')::bigint));
    when 'leave' then return coalesce(leave_policy_refusal(c, m, op), leave_epoch_refusal(c, m, op));
    when 'join-request' then
      return coalesce(case when not is_outsider(m) then propose_policy_refusal(c, m) end,
                      proposal_epoch_refusal(c, (op ->> 'epoch')::bigint));
    when 'group-info' then return group_info_epoch_refusal(c, (op ->> 'epoch')::bigint);
    when 'reset' then return reset_policy_refusal(c, m);
    when 'role', 'policy', 'bar', 'delete' then return admin_refusal(m);
    else return null;
  end case;
end $$;

-- Step 2. By an external commit somebody becomes a member, and by a request asks for that. A message whose staged row is gone has no known sender.
create or replace function never_member_refusal(m member, op jsonb) returns jsonb
language sql immutable as $$
  select case when m.user_id is null and op ? 'actor' and not op ? 'external' and op ->> 'kind' <> 'join-request' then refusal('not-found') end
$$;

-- Step 3. Null = the operation is new.
create or replace function earlier_answer(c conversation, m member, op jsonb) returns jsonb
language plpgsql stable as $$
begin
  case op ->> 'kind'
    when 'message' then return earlier_message(c.key, op, m.user_id, m.left_seq);
    when 'commit' then return earlier_commit(c, m, op);
    when 'leave' then return earlier_leave(c, m, op);
    when 'join-request' then return earlier_join_request(c, m, op);
    when 'group-info' then return null;
    else return earlier_operation(c, m, op);
  end case;
end $$;

-- Step 5.
create or replace function membership_refusal(c conversation, m member, op jsonb) returns jsonb
language sql stable as $$
  select case
    when op ? 'external' then external_commit_refusal(c, m, op)
    when op ->> 'kind' = 'join-request' then join_request_refusal(c, m, op)
    else removed_refusal(m.left_seq)
  end
$$;

-- Step 7.
create or replace function successor_refusal(c conversation, m member, op jsonb) returns jsonb
language sql stable as $$
  select case
    when c.successor is null or op ->> 'kind' in ('read', 'delete') then null
    when op ->> 'kind' = 'leave' and not leave_writes_proposal(c.key, m, op) then null
    when op ->> 'kind' = 'reset' and op ->> 'successor' = c.successor then
      jsonb_build_object('status', 'duplicate', 'successor', c.successor)
    when m.user_id is null then refusal('not-found')
    else refusal('superseded', jsonb_build_object('successor', c.successor))
  end
$$;

-- Step 8. A member without a leaf in the group decides nothing for those who have one. It may leave, read, report, and join by an
-- external commit, which makes the leaf. It may reset once reports have opened that; and an admin may reset again what a reset
-- without a vote has made, so that no member puts the admins out by undoing a trial.
create or replace function pending_join_refusal(c conversation, m member, op jsonb) returns jsonb
language sql stable as $$
  select case when m.awaited and case op ->> 'kind'
      when 'read' then false
      when 'report' then false
      when 'leave' then leave_writes_proposal(c.key, m, op)
      when 'commit' then not op ? 'external'
      when 'reset' then not (c.undone_trial and m.role = 'admin') and not reset_open(c)
      else true
    end then pending_join_refusal(m.awaited) end
$$;
