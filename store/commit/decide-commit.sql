-- A commit with its membership changes, Welcomes and GroupInfo, admitted: all or none (invariant 6). In opaque conversations
-- also an add or remove without a commit: an entry with empty ciphertext, which moves the epoch by one.
create or replace function decide_commit(inout c conversation, m member, op jsonb, p_ciphertext bytea, p_welcome bytea,
                                         p_group_info bytea, out result jsonb)
language plpgsql as $$
declare
  v_actor text := op ->> 'actor';
  v_adds text[] := json_texts(op -> 'adds');
  v_removes text[] := json_texts(op -> 'removes');
  v_refs bytea[] := hex_list(op -> 'refs');
  -- of a public commit without a Welcome
  v_consumed_refs bytea[] := case when op ? 'uses' and c.protocol = 'mls' and p_welcome is null then
    known_key_package_refs(op -> 'uses') end;
  -- users who have leaves in the ratchet tree after the commit; null when no tree came with it
  v_leaves text[] := case when op ? 'leaves' then json_texts(op -> 'leaves') end;
  v_joining text[];
  v_leaving text[];
  -- Of its removes those who left before, and keep leaves: the library of the sender could not take in how they left.
  v_kept text[] := case when op ? 'removes' and (op ? 'leaves' or op ? 'kept') then kept_by_commit(c.key, op, v_removes) else '{}' end;
  v_fingerprint bytea := commit_fingerprint(op, v_adds, v_removes);
  v_has_removals boolean;
begin
  -- 1. The trial of an outsider's epoch, overdue removals, and commit contention.
  if c.trial_seq is not null and op ? 'external' and is_outsider(m) then
    if trial_was_followed(c) then c := end_trial(c); else result := trial_refusal(c); end if;
    if result is not null then return; end if;
  end if;
  v_has_removals := has_removals(c.key);
  if v_has_removals then
    -- Who keeps a leaf is not removed, whatever the request says.
    result := removal_pending_refusal(c, op, array(select unnest(v_removes) except select unnest(v_kept)), v_leaves);
    if result is not null then return; end if;
  end if;
  result := coalesce(commit_backoff_refusal(c.key, v_actor, v_removes),
                     case when not op ? 'deferred' then reservation_refusal(c.key, v_actor, v_removes) end);
  if result is not null then return; end if;

  -- 2. Who is added and removed.
  if cardinality(v_removes) > 0 or op ? 'dropped' or op ? 'droppedUsers' then
    result := removal_refusal(c.key, op, v_adds, v_removes);
    if result is not null then return; end if;
  end if;
  if cardinality(v_kept) > 0 then v_removes := array(select unnest(v_removes) except select unnest(v_kept) order by 1); end if;
  v_joining := case when cardinality(v_adds) > 0 or op ? 'external'
    then joining_users(c.key, v_adds, case when op ? 'external' then v_actor end) else '{}' end;
  v_leaving := case when cardinality(v_removes) > 0 then current_members_among(c.key, v_removes) else '{}' end;
  if not op ? 'sha256' and cardinality(v_joining) = 0 and cardinality(v_removes) = 0 then
    -- To add current members changes nothing.
    result := jsonb_build_object('status', 'accepted', 'seq', c.last_seq, 'epoch', c.epoch);
    return;
  end if;

  -- Who joins, as others see it. Its locks come before those of the key packages, which others wait for.
  if cardinality(v_adds) > 0 then
    if not lock_invitations(v_actor, array_remove(v_adds, v_actor), false) then
      result := busy_inviter_refusal(op);
      return;
    end if;
    result := invitation_refusal(c.id, v_actor, v_joining, owners_of_key_packages(v_refs || v_consumed_refs));
    if result is not null then return; end if;
  end if;

  -- 3. The MLS objects that came with it.
  if c.protocol = 'mls' then
    result := coalesce(
      case when c.policy ->> 'groupInfo' = 'required' and p_group_info is null then
        refusal('group-info-mismatch', '{"detail": "The policy requires a GroupInfo with every commit"}') end,
      group_info_refusal(c, op, p_group_info),
      case when p_welcome is not null and op ? 'suite' then welcome_suite_refusal(op, v_refs) end,
      case when p_welcome is not null then key_package_refs_refusal(c, v_actor, v_refs, v_adds)
           when op ? 'uses' then key_package_refs_refusal(c, v_actor, v_consumed_refs, null) end,
      case when v_leaves is not null then
        -- One who joins by an external commit is in its own tree.
        ratchet_tree_refusal(c, v_leaves, case when op ? 'external' then v_adds || v_actor else v_adds end, v_removes) end,
      case when op ? 'newLeaves' then new_leaves_refusal(c, hex_list(op -> 'newLeaves'), v_refs) end);
    if result is not null then return; end if;
  end if;

  if p_welcome is not null then
    result := welcome_refusal(c, v_actor, m.role, p_welcome, v_refs, v_adds);
    if result is not null then return; end if;
  end if;

  -- 4. The size of the conversation. It may stay above the limit, but not grow there.
  if c.member_count + cardinality(v_joining) - cardinality(v_leaving)
     > greatest((c.policy ->> 'maxMembers')::int, c.member_count) then
    result := refusal('too-many-members');
    return;
  end if;

  -- 5. Accepted: the entry, the members, the tree, and what came with the commit.
  c := append_commit(c, op, p_ciphertext, v_fingerprint);
  perform record_accepted_commit(c.key, v_actor);
  perform clear_report(c.key, v_actor);
  if cardinality(v_joining) > 0 or cardinality(v_removes) > 0 then
    c := change_members(c, v_joining, v_removes, v_leaving, bringer(c, m));
    perform record_invitations(c.key, v_actor, v_joining);
  end if;
  -- Of an outsider the row is new.
  if m.proven_at is null or is_outsider(m) then perform prove_member(c, v_actor); end if;
  if is_outsider(m) then c := begin_trial(c);
  elsif c.trial_seq is not null then c := end_trial_by(c, v_actor, c.epoch - 1); end if;
  perform settle_leaves(c.key, v_leaves, v_adds || v_actor);
  if c.protocol = 'mls' then perform note_leaves(c, op, v_refs || v_consumed_refs); end if;
  if v_has_removals then perform settle_removals(c, v_leaves); end if;
  if p_welcome is not null then c.due_at := least(c.due_at, deliver_welcome(c, v_actor, p_welcome, v_refs, v_adds)); end if;
  if cardinality(v_refs || v_consumed_refs) > 0 then perform use_key_packages(c, v_refs || v_consumed_refs); end if;
  if p_group_info is not null then perform store_group_info(c, op, p_group_info); end if;
  result := jsonb_build_object('status', 'accepted', 'seq', c.last_seq, 'epoch', c.epoch,
                               'sha256', encode(commit_sha256(op), 'hex'), 'at', c.last_at, 'chain', encode(c.chain, 'base64'));
end $$;

-- Step 9 of admit(). Every member may finish a pending removal. A further device of a member adds nobody: of one who is proven,
-- because a leaf with the name of somebody who never acted may be anybody's.
create or replace function commit_policy_refusal(c conversation, m member, op jsonb) returns jsonb
language plpgsql stable as $$
declare
  v_removes text[] := json_texts(op -> 'removes');
  v_adds text[] := json_texts(op -> 'adds');
  v_joining text[];
begin
  if c.protocol = 'mls' and not op ? 'sha256' then return refusal('commit-required'); end if;
  if cardinality(v_adds) > 0 then
    v_joining := joining_users(c.key, v_adds, null);
    if not allows(c.policy ->> 'whoMayAdd', m.role) then
      if cardinality(v_joining) > 0 then return refusal('not-allowed'); end if;
      if cardinality(array_remove(unproven_members_among(c.key, v_adds), m.user_id)) > 0 then
        return refusal('not-allowed',
          '{"detail": "Somebody whom the commit adds is a member that has not acted yet: only who may add members can add its devices"}');
      end if;
    end if;
    if off_boarded_refusal(v_adds) is not null then return off_boarded_refusal(v_adds); end if;
    if cardinality(v_joining) > 0 and bar_refusal(c, m, v_joining) is not null then return bar_refusal(c, m, v_joining); end if;
  end if;
  if not allows(c.policy ->> 'whoMayRemove', m.role)
     and has_other_than_pending_removals(c.key, v_removes || trimmed_users(c.key, op) || users_dropped(c.key, op)) then
    return refusal('not-allowed');
  end if;
  if c.policy ->> 'lastAdmin' = 'refuse' and loses_last_admin(c, v_removes) then
    return refusal('not-allowed', '{"detail": "The last admin cannot be removed: make somebody else admin first"}');
  end if;
  return null;
end $$;

-- Users who lose some of their leaves, unless all of these leaves should go anyway.
create or replace function trimmed_users(p_conversation bigint, op jsonb) returns text[]
language sql stable as $$
  select case
    when not op ? 'trimmed' or op ? 'trimmedLeaves' and not exists (
      select unnest(hex_list(op -> 'trimmedLeaves')) except select leaf from pending_removal where conversation = p_conversation)
    then '{}' else json_texts(op -> 'trimmed') end
$$;

-- Step 10 of admit(). The last epoch that travels as a JSON number cannot be ended. Who won, and with which entry, is for
-- members only: an outsider who may join learns no more than the GroupInfo tells.
create or replace function commit_epoch_refusal(c conversation, m member, p_epoch bigint) returns jsonb
language sql stable as $$
  select case
    when p_epoch > c.epoch or c.epoch >= max_safe_epoch() and coalesce(p_epoch, c.epoch) = c.epoch then
      epoch_refusal('epoch-ahead', c.epoch, coalesce(p_epoch, c.epoch))
    when p_epoch < c.epoch and (m.user_id is null or m.left_seq is not null) then
      epoch_refusal('epoch-conflict', c.epoch, p_epoch)
    when p_epoch < c.epoch then epoch_conflict(c, p_epoch)
  end
$$;

-- How a commit of an ended epoch is refused. winner: the commit that ended the submitted epoch; after: the one that started it.
create or replace function epoch_conflict(c conversation, p_epoch bigint) returns jsonb
language plpgsql stable as $$
declare
  w record;
begin
  select seq, sha256 into w from entry where conversation = c.key and kind = 'commit' and epoch = p_epoch;
  return epoch_refusal('epoch-conflict', c.epoch, p_epoch)
    || jsonb_build_object('after', coalesce(
         (select seq from entry where conversation = c.key and kind = 'commit' and epoch = p_epoch - 1), 0))
    || case when w.seq is null then '{}'
            else jsonb_build_object('winner', jsonb_build_object('seq', w.seq, 'sha256', encode(w.sha256, 'hex'))) end;
end $$;

-- Null when the users may be removed: each has leaves in the group, none is added again, and nobody removes oneself. A user
-- who loses all leaves must be named, or have left before.
create or replace function removal_refusal(p_conversation bigint, op jsonb, p_adds text[], p_removes text[]) returns jsonb
language plpgsql stable as $$
begin
  if has_other_than_pending_removals(p_conversation, users_dropped(p_conversation, op) || users_losing_too_much(p_conversation, op)) then
    return refusal('membership-mismatch', '{"detail": "The commit removes somebody whom the request does not name"}');
  end if;
  if op ? 'kept' and has_other_than_pending_removals(p_conversation, json_texts(op -> 'kept')) then
    return refusal('membership-mismatch', '{"detail": "The commit keeps a leaf of a user in removes"}');
  end if;
  if cardinality(p_removes) > 0 and (
       overlap(p_removes, p_adds)
       or op ->> 'actor' = any (p_removes)
       or (select count(*) from member where conversation = p_conversation and user_id = any (p_removes)
             and (left_seq is null or leaving)) < cardinality(p_removes)) then
    return refusal(case when op ? 'sha256' then 'membership-mismatch' else 'not-found' end);
  end if;
  return null;
end $$;

-- Of the users in removes those with a pending removal who keep leaves, as the ratchet tree or the commit itself shows. Their removal
-- stays pending.
create or replace function kept_by_commit(p_conversation bigint, op jsonb, p_removes text[]) returns text[]
language sql stable as $$
  select array(
    select user_id from member
    where conversation = p_conversation and leaving and user_id = any (array(
      select unnest(p_removes)
      intersect select jsonb_array_elements_text(coalesce(op -> 'leaves', '[]') || coalesce(op -> 'kept', '[]')))))
$$;

-- SHA-256 of the bytes of a commit; of an add or remove without a commit: that of no bytes.
create or replace function commit_sha256(op jsonb) returns bytea
language sql immutable as $$
  select case when op ? 'sha256' then decode(op ->> 'sha256', 'hex') else sha256('') end
$$;

-- The id of the entry of an external commit or a request to join: its own, or one that nobody can have chosen if that is in use. A retry is
-- recognized by its bytes.
create or replace function free_entry_id(c conversation, op jsonb) returns text
language sql stable as $$
  select case
    when exists (select from entry where conversation = c.key and message_id = op ->> 'id') then
      format('%s-%s-%s', op ->> 'kind', op ->> 'sha256', c.last_seq)
    else op ->> 'id'
  end
$$;

-- Writes the entry of a commit, which ends the current epoch.
create or replace function append_commit(inout c conversation, op jsonb, p_ciphertext bytea, p_fingerprint bytea)
language plpgsql as $$
begin
  c.last_seq := c.last_seq + 1;
  c.chain := chain_after(c.chain, c.last_seq, 'commit', c.epoch, commit_sha256(op));
  c.last_at := greatest(c.last_at, clock_timestamp());
  insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, fingerprint, at, verified, chain)
    values (c.key, c.last_seq, 'commit', c.epoch,
            case when op ? 'external' then free_entry_id(c, op) else op ->> 'id' end, commit_sha256(op), coalesce(p_ciphertext, ''), op ->> 'actor',
            c.app_count, p_fingerprint, c.last_at, (op ->> 'verified')::boolean, c.chain);
  c.epoch := c.epoch + 1;
  c.last_commit_seq := c.last_seq;
  c.due_at := due_after(c);
end $$;
