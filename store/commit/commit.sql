-- A commit with its membership changes, Welcomes and GroupInfo: all or none (invariant 6). In opaque conversations also an
-- add or remove without a commit: an entry with empty ciphertext that moves the epoch by one.
-- Order of checks: retry look-up, membership, deadline, successor, policy, epoch, fairness, content.
create or replace function decide_commit(inout c conversation, op jsonb, p_bytes bytea[], out result jsonb)
language plpgsql as $$
declare
  v_id text := op ->> 'id';
  v_sha bytea := decode(coalesce(op ->> 'sha256', ''), 'hex');
  -- of an add or remove without a commit: that of no bytes
  v_bytes_sha bytea := case when length(v_sha) = 0 then sha256('') else v_sha end;
  i record := operation_input(c, op, p_bytes);
  v_adds text[] := texts(i.request -> 'adds');
  v_removes text[] := texts(i.request -> 'removes');
  v_refs bytea[] := refs(i.request -> 'refs');
  v_uses bytea[];
  v_leaves text[] := case when i.request ? 'leaves' then texts(i.request -> 'leaves') end;
  v_trimmed text[] := texts(i.request -> 'trimmed');
  v_dropped text[] := texts(i.request -> 'dropped');
  v_external boolean := i.request ? 'external';
  v_new text[];
  v_gone text[];
  v_fingerprint bytea;
  v_wait int;
  e entry;
  w entry;
  m member;
  v_found boolean;
begin
  if i.actor is null then
    -- The retry look-up needs the adds and removes, which went with the bytes.
    result := refusal('body-missing');
    return;
  end if;
  select * into m from member where conversation = c.key and user_id = i.actor;
  v_found := found;
  if not v_found and not v_external then
    result := refusal('not-found');
    return;
  end if;
  v_fingerprint := sha256(convert_to(jsonb_build_array(encode(v_sha, 'hex'), v_adds, v_removes)::text, 'UTF8'));
  result := case when v_external then external_refusal(c, v_found, m) else membership_refusal(true, m) end;

  -- Retry look-up: by id, else by the bytes, which name the epoch that they end.
  select * into e from entry where conversation = c.key and message_id = v_id;
  if not found and length(v_sha) > 0 then
    select * into e from entry where conversation = c.key and kind = 'commit' and epoch = i.epoch
      and fingerprint = v_fingerprint and sender = i.actor;
  end if;
  if e.seq is not null then
    if e.kind = 'commit' and e.sender = i.actor and e.fingerprint = v_fingerprint then
      result := jsonb_build_object('status', 'duplicate', 'seq', e.seq, 'epoch', e.epoch + 1,
                                   'sha256', encode(e.sha256, 'hex'), 'at', e.at);
    else
      result := coalesce(result, refusal('id-reused'));
    end if;
    return;
  end if;
  result := coalesce(earlier_answer(c, v_id, 'commit', i.actor, v_fingerprint, m), result);
  if result is not null then return; end if;
  if late(op) then
    result := refusal('deadline');
    return;
  end if;
  result := superseded_refusal(c);
  if result is not null then
    -- Where the conversation went is no matter of outsiders.
    if not v_found then result := refusal('not-found'); end if;
    return;
  end if;
  if not v_external then
    result := awaited_refusal(m);
    if result is not null then return; end if;
  end if;

  if c.protocol = 'mls' and length(v_sha) = 0 then
    result := refusal('commit-required');
    return;
  end if;

  -- Policy. Anybody may finish the removal of one who is leaving; adding a further device of a member adds nobody.
  v_new := array(select u from unnest(v_adds) u where not exists (
    select from member x where x.conversation = c.key and x.user_id = u and x.left_seq is null));
  if cardinality(v_new) > 0 and not allows(c.policy ->> 'whoMayAdd', m.role)
     or exists (select from unnest(v_removes || v_trimmed || v_dropped) u
                where not allows(c.policy ->> 'whoMayRemove', m.role)
                  and not exists (select from member x where x.conversation = c.key and x.user_id = u and x.leaving)) then
    result := refusal('not-allowed');
    return;
  end if;
  if c.policy ->> 'lastAdmin' = 'refuse' and loses_last_admin(c, v_removes) then
    result := refusal('not-allowed', '{"detail": "The last admin cannot be removed: make somebody else admin first"}');
    return;
  end if;

  -- The last epoch that travels as a JSON number cannot be ended.
  if i.epoch > c.epoch or c.epoch >= 9007199254740991 and coalesce(i.epoch, c.epoch) = c.epoch then
    result := epoch_refusal('epoch-ahead', c.epoch, coalesce(i.epoch, c.epoch));
    return;
  elsif i.epoch < c.epoch then
    -- winner: the commit that ended the submitted epoch; after: the one that started it.
    select * into w from entry where conversation = c.key and kind = 'commit' and epoch = i.epoch;
    result := epoch_refusal('epoch-conflict', c.epoch, i.epoch)
      || jsonb_build_object('after', coalesce((select seq from entry where conversation = c.key and kind = 'commit'
                                               and epoch = i.epoch - 1), 0))
      || case when w.seq is null then '{}'
              else jsonb_build_object('winner', jsonb_build_object('seq', w.seq, 'sha256', encode(w.sha256, 'hex'))) end;
    -- Whoever lost to itself cannot be helped.
    if w.sender is distinct from i.actor then perform lose_race(c, i.actor); end if;
    return;
  end if;
  v_wait := commit_gap_ms(c, i.actor, v_removes);
  if v_wait > 0 then
    result := refusal('rate-limited', jsonb_build_object('forMs', v_wait));
    return;
  end if;
  if not op ? 'deferred' then
    v_wait := commit_wait_ms(c, i.actor, v_removes);
    if v_wait > 0 then
      result := refusal('deferred', jsonb_build_object('forMs', v_wait));
      return;
    end if;
  end if;

  -- Whoever keeps no leaf is named, or left by itself before.
  if exists (select from unnest(v_dropped) u where not exists (
       select from member x where x.conversation = c.key and x.user_id = u and x.leaving)) then
    result := refusal('membership-mismatch', '{"detail": "The commit removes somebody whom the request does not name"}');
    return;
  end if;
  if cardinality(v_removes) > 0 and (
       v_removes && v_adds
       or i.actor = any (v_removes)
       or (select count(*) from member where conversation = c.key and user_id = any (v_removes)
             and (left_seq is null or leaving)) < cardinality(v_removes)) then
    result := refusal(case when length(v_sha) = 0 then 'not-found' else 'membership-mismatch' end);
    return;
  end if;
  if length(v_sha) = 0 and cardinality(v_new) = 0 and cardinality(v_removes) = 0 then
    -- Adding members who are members already changes nothing.
    result := jsonb_build_object('status', 'accepted', 'seq', c.last_seq, 'epoch', c.epoch);
    insert into operation (conversation, id, kind, actor, fingerprint, answer)
      values (c.key, v_id, 'commit', i.actor, v_fingerprint, result);
    return;
  end if;
  if c.protocol = 'mls' then
    if c.policy ->> 'groupInfo' = 'required' and i.group_info is null then
      result := refusal('group-info-mismatch', '{"detail": "The policy requires a GroupInfo with every commit"}');
    elsif i.welcome is not null then
      result := refs_refusal(c, i.actor, v_refs, v_adds);
    elsif i.request ? 'uses' then
      -- Those that came by another way than this service are not its to judge.
      v_uses := array(select ref from key_package where ref = any (refs(i.request -> 'uses')) order by ref);
      result := refs_refusal(c, i.actor, v_uses, null);
    end if;
    -- Whoever joins by an external commit is in its own tree.
    if result is null and v_leaves is not null then
      result := leaves_refusal(c, v_leaves, case when v_external then v_adds || i.actor else v_adds end, v_removes);
    end if;
    if result is not null then return; end if;
  end if;
  if v_external and (not v_found or m.left_seq is not null) and not i.actor = any (v_new) then
    v_new := v_new || i.actor;
  end if;
  v_gone := array(select user_id from member
    where conversation = c.key and user_id = any (v_removes) and left_seq is null order by user_id);
  if c.member_count + cardinality(v_new) - cardinality(v_gone)
     > greatest((c.policy ->> 'maxMembers')::int, c.member_count) then
    result := refusal('too-many-members');
    return;
  end if;

  c.last_seq := c.last_seq + 1;
  c.last_at := greatest(c.last_at, clock_timestamp());
  insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, fingerprint, at)
    values (c.key, c.last_seq, 'commit', c.epoch, v_id, v_bytes_sha, coalesce(i.ciphertext, ''), i.actor, c.app_count,
            v_fingerprint, c.last_at);
  c.epoch := c.epoch + 1;
  c.last_commit_seq := c.last_seq;
  c.member_count := c.member_count + cardinality(v_new) - cardinality(v_gone);
  c.due_at := due_after(c);
  perform win_race(c, i.actor);

  if cardinality(v_removes) > 0 then perform remove_members(c, v_removes); end if;
  if cardinality(v_gone) > 0 then perform tell(c, 'removed', jsonb_build_object('users', v_gone)); end if;
  if cardinality(v_new) > 0 then
    perform add_members(c, v_new);
    perform tell(c, 'added', jsonb_build_object('users', v_new));
  end if;
  -- Also of one in which nobody was left.
  if cardinality(v_gone) > 0 or c.member_count = cardinality(v_new) then perform hand_over(c); end if;
  perform not_stuck(c, i.actor);
  if v_leaves is not null then
    -- What the tree shows: who left is gone now, and who was awaited has come.
    update member set leaving = false where conversation = c.key and leaving and user_id <> all (v_leaves);
    update member set awaited = false where conversation = c.key and awaited and user_id = any (v_leaves);
  else
    update member set awaited = false where conversation = c.key and awaited and user_id = any (v_adds || i.actor);
  end if;
  if i.welcome is not null then c.due_at := least(c.due_at, deliver_welcome(c, i.welcome, v_refs, v_adds)); end if;
  perform use_key_packages(c, v_refs || v_uses);
  if i.group_info is not null then
    insert into group_info (conversation, epoch, group_info) values (c.key, c.epoch, i.group_info)
      on conflict (conversation) do update set epoch = excluded.epoch, group_info = excluded.group_info;
  end if;
  result := jsonb_build_object('status', 'accepted', 'seq', c.last_seq, 'epoch', c.epoch,
                               'sha256', encode(v_bytes_sha, 'hex'), 'at', c.last_at);
end $$;

-- Ends the stay of users with the newest entry; of those who left by themselves it ended before.
create or replace function remove_members(c conversation, p_users text[]) returns void
language plpgsql as $$
declare
  v_seqs bigint[];
begin
  update period set to_seq = c.last_seq where conversation = c.key and user_id = any (p_users) and to_seq is null;
  update member set left_seq = coalesce(left_seq, c.last_seq), left_epoch = coalesce(left_epoch, c.epoch),
                    left_at = coalesce(left_at, c.last_at), left_policy = coalesce(left_policy, c.policy),
                    leaving = false, awaited = false, role = 'member'
    where conversation = c.key and user_id = any (p_users);
  -- Removal withdraws a Welcome that was not taken up.
  with gone as (delete from welcome where conversation = c.key and user_id = any (p_users) returning seq)
    select array_agg(distinct seq) into v_seqs from gone;
  perform drop_welcome_bodies(c.key, v_seqs);
end $$;

-- Begins a stay of users with the newest entry, which is the commit that adds them.
create or replace function add_members(c conversation, p_users text[]) returns void
language plpgsql as $$
begin
  insert into member (conversation, user_id, role, joined_seq, joined_epoch, read_seq, read_count, increments_base)
    select c.key, u, 'member', c.last_seq, c.epoch, c.last_seq, c.app_count, c.increments from unnest(p_users) u
    on conflict (conversation, user_id) do update
      set role = 'member', joined_seq = excluded.joined_seq, joined_epoch = excluded.joined_epoch,
          left_seq = null, left_epoch = null, left_at = null, left_policy = null, left_self = false, leaving = false, awaited = false,
          read_seq = excluded.read_seq, read_count = excluded.read_count, increments_base = excluded.increments_base;
  -- A stay that ended before the first entry, and so is empty, begins at 1 as well.
  insert into period (conversation, user_id, from_seq) select c.key, u, c.last_seq from unnest(p_users) u
    on conflict (conversation, user_id, from_seq) do update set to_seq = null;
end $$;

-- KeyPackageRefs of a JSON array of hex, each once, in order.
create or replace function refs(p_array jsonb) returns bytea[]
language sql immutable as $$ select array(select decode(t, 'hex') from unnest(texts(p_array)) t order by 1) $$;

-- Of those that are for single use nobody gets another one.
create or replace function use_key_packages(c conversation, p_refs bytea[]) returns void
language sql volatile as $$
  update key_package set used_at = c.last_at, conversation = c.key where ref = any (p_refs) and not last_resort
$$;

-- Puts a Welcome where its devices find it: by the refs that it names (RFC 9420 §12.4.3.1), or in opaque conversations for
-- every device of the users. Returns when it expires.
create or replace function deliver_welcome(c conversation, p_welcome bytea, p_refs bytea[], p_users text[]) returns timestamptz
language plpgsql as $$
declare
  v_expires timestamptz := c.last_at + interval '30 days';
  v_old bigint[];
begin
  with target as (
    select k.user_id, k.device_id, k.ref from unnest(p_refs) r (ref)
    cross join lateral (select user_id, device_id, ref from key_package where ref = r.ref limit 1) k
    union all
    select u, '', null from unnest(p_users) u where c.protocol = 'opaque'
  ), old as (
    delete from welcome w using target t
      where w.conversation = c.key and w.user_id = t.user_id and w.device_id = t.device_id returning w.seq
  )
  select array_agg(distinct seq) into v_old from old;
  insert into welcome (conversation, user_id, device_id, ref, seq, epoch, expires_at)
    select c.key, k.user_id, k.device_id, k.ref, c.last_seq, c.epoch, v_expires from unnest(p_refs) r (ref)
    cross join lateral (select user_id, device_id, ref from key_package where ref = r.ref limit 1) k
    union all
    select c.key, u, '', null, c.last_seq, c.epoch, v_expires from unnest(p_users) u where c.protocol = 'opaque';
  if not found then return null; end if;
  insert into welcome_body (conversation, seq, welcome) values (c.key, c.last_seq, p_welcome);
  perform drop_welcome_bodies(c.key, v_old);
  return v_expires;
end $$;

-- A GroupInfo for the current epoch from a member: the first one stays, so that everybody reads the same.
create or replace function decide_group_info(inout c conversation, op jsonb, p_bytes bytea[], out result jsonb)
language plpgsql as $$
declare
  i record := operation_input(c, op, p_bytes);
  m member;
begin
  if i.actor is null then
    result := refusal('body-missing');
    return;
  end if;
  select * into m from member where conversation = c.key and user_id = i.actor;
  result := coalesce(membership_refusal(found, m), case when late(op) then refusal('deadline') end, superseded_refusal(c),
                     awaited_refusal(m));
  if result is not null then return; end if;
  if i.epoch is distinct from c.epoch then
    result := epoch_refusal(case when i.epoch > c.epoch then 'epoch-ahead' else 'group-info-stale' end, c.epoch, i.epoch);
  elsif exists (select from group_info where conversation = c.key and epoch = c.epoch) then
    result := jsonb_build_object('status', 'duplicate', 'epoch', c.epoch);
  else
    if i.request ? 'leaves' then result := leaves_refusal(c, texts(i.request -> 'leaves'), '{}', '{}'); end if;
    if result is not null then return; end if;
    insert into group_info (conversation, epoch, group_info) values (c.key, c.epoch, i.group_info)
      on conflict (conversation) do update set epoch = excluded.epoch, group_info = excluded.group_info;
    result := jsonb_build_object('status', 'accepted', 'epoch', c.epoch);
  end if;
end $$;
