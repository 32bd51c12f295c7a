-- A commit with its membership changes, Welcome and GroupInfo: all or none (invariant 6). In opaque conversations also an
-- add or remove without a commit: an entry with empty ciphertext that moves the epoch by one.
create or replace function decide_commit(inout c conversation, op jsonb, p_bytes bytea[], out result jsonb)
language plpgsql as $$
declare
  v_id text := op ->> 'id';
  v_sha bytea := decode(coalesce(op ->> 'sha256', ''), 'hex');
  v_actor text;
  v_epoch bigint;
  v_ciphertext bytea;
  v_welcome bytea;
  v_group_info bytea;
  v_request jsonb;
  v_adds text[];
  v_removes text[];
  v_new text[];
  v_fingerprint bytea;
  v_count int;
  e entry;
  w entry;
  m member;
begin
  if op ? 'body' then
    delete from staged where key = (op ->> 'body')::bigint and conversation = c.key
      returning user_id, epoch, ciphertext, welcome, group_info, request
      into v_actor, v_epoch, v_ciphertext, v_welcome, v_group_info, v_request;
  else
    v_actor := op ->> 'actor';
    v_epoch := (op ->> 'epoch')::bigint;
    v_ciphertext := p_bytes[(op #>> '{bytes,ciphertext}')::int];
    v_welcome := p_bytes[(op #>> '{bytes,welcome}')::int];
    v_group_info := p_bytes[(op #>> '{bytes,groupInfo}')::int];
    v_request := op;
  end if;
  if v_actor is null then
    -- The retry look-up needs the adds and removes, which went with the bytes.
    result := refusal('body-missing');
    return;
  end if;
  select * into m from member where conversation = c.key and user_id = v_actor;
  if not found then
    result := refusal('not-found');
    return;
  end if;
  v_adds := coalesce((select array_agg(distinct u order by u) from jsonb_array_elements_text(v_request -> 'adds') u), '{}');
  v_removes := coalesce((select array_agg(distinct u order by u) from jsonb_array_elements_text(v_request -> 'removes') u), '{}');
  v_fingerprint := sha256(convert_to(jsonb_build_array(encode(v_sha, 'hex'), v_adds, v_removes)::text, 'UTF8'));

  -- Retry look-up: by id, else by the bytes, which name the epoch that they end.
  select * into e from entry where conversation = c.key and message_id = v_id;
  if not found and length(v_sha) > 0 then
    select * into e from entry where conversation = c.key and kind = 'commit' and epoch = v_epoch
      and fingerprint = v_fingerprint and sender = v_actor;
  end if;
  if e.seq is not null then
    if e.kind = 'commit' and e.sender = v_actor and e.fingerprint = v_fingerprint then
      result := jsonb_build_object('status', 'duplicate', 'seq', e.seq, 'epoch', e.epoch + 1,
                                   'sha256', encode(e.sha256, 'hex'), 'at', e.at);
    else
      result := coalesce(membership_refusal(true, m), refusal('id-reused'));
    end if;
    return;
  end if;
  result := earlier_answer(c, v_id, 'commit', v_actor, v_fingerprint, m);
  if result is not null then return; end if;
  result := membership_refusal(true, m);
  if result is not null then return; end if;
  if late(op) then
    result := refusal('deadline');
    return;
  end if;

  if c.protocol = 'mls' and length(v_sha) = 0 then
    result := refusal('commit-required');
    return;
  end if;

  -- Policy. Anybody may finish the removal of one who is leaving; adding a further device of a member adds nobody.
  v_new := array(select u from unnest(v_adds) u where not exists (
    select from member x where x.conversation = c.key and x.user_id = u and x.left_seq is null));
  if cardinality(v_new) > 0 and not allows(c.policy ->> 'whoMayAdd', m.role)
     or exists (select from unnest(v_removes) u
                where not allows(c.policy ->> 'whoMayRemove', m.role)
                  and not exists (select from member x where x.conversation = c.key and x.user_id = u and x.leaving)) then
    result := refusal('not-allowed');
    return;
  end if;

  if v_epoch > c.epoch then
    result := epoch_refusal('epoch-ahead', c.epoch, v_epoch);
    return;
  elsif v_epoch < c.epoch then
    -- winner: the commit that ended the submitted epoch; after: the one that started it.
    select * into w from entry where conversation = c.key and kind = 'commit' and epoch = v_epoch;
    result := epoch_refusal('epoch-conflict', c.epoch, v_epoch)
      || jsonb_build_object('after', coalesce((select seq from entry where conversation = c.key and kind = 'commit'
                                               and epoch = v_epoch - 1), 0))
      || case when w.seq is null then '{}'
              else jsonb_build_object('winner', jsonb_build_object('seq', w.seq, 'sha256', encode(w.sha256, 'hex'))) end;
    return;
  end if;

  if cardinality(v_removes) > 0 and (
       v_removes && v_adds
       or v_actor = any (v_removes)
       or (select count(*) from member where conversation = c.key and user_id = any (v_removes)
             and (left_seq is null or leaving)) < cardinality(v_removes)) then
    result := refusal(case when length(v_sha) = 0 then 'not-found' else 'membership-mismatch' end);
    return;
  end if;
  if length(v_sha) = 0 and cardinality(v_new) = 0 and cardinality(v_removes) = 0 then
    -- Adding members who are members already changes nothing.
    result := jsonb_build_object('status', 'accepted', 'seq', c.last_seq, 'epoch', c.epoch);
    insert into operation (conversation, id, kind, actor, fingerprint, answer)
      values (c.key, v_id, 'commit', v_actor, v_fingerprint, result);
    return;
  end if;
  select count(*) into v_count from member where conversation = c.key and user_id = any (v_removes) and left_seq is null;
  if c.member_count + cardinality(v_new) - v_count > greatest((c.policy ->> 'maxMembers')::int, c.member_count) then
    result := refusal('too-many-members');
    return;
  end if;

  c.last_seq := c.last_seq + 1;
  c.last_at := greatest(c.last_at, clock_timestamp());
  insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, fingerprint, at)
    values (c.key, c.last_seq, 'commit', c.epoch, v_id, v_sha, coalesce(v_ciphertext, ''), v_actor, c.app_count,
            v_fingerprint, c.last_at);
  c.epoch := c.epoch + 1;
  c.last_commit_seq := c.last_seq;
  c.member_count := c.member_count + cardinality(v_new) - v_count;

  if cardinality(v_removes) > 0 then
    update period set to_seq = c.last_seq where conversation = c.key and user_id = any (v_removes) and to_seq is null;
    update member set left_seq = coalesce(left_seq, c.last_seq), left_epoch = coalesce(left_epoch, c.epoch),
                      left_at = coalesce(left_at, c.last_at), leaving = false, role = 'member'
      where conversation = c.key and user_id = any (v_removes);
    -- Removal withdraws a Welcome that was not taken up.
    delete from welcome where conversation = c.key and user_id = any (v_removes);
  end if;
  if cardinality(v_new) > 0 then
    insert into member (conversation, user_id, role, joined_seq, joined_epoch, read_seq, read_count, increments_base)
      select c.key, u, 'member', c.last_seq, c.epoch, c.last_seq, c.app_count, c.increments from unnest(v_new) u
      on conflict (conversation, user_id) do update
        set role = 'member', joined_seq = excluded.joined_seq, joined_epoch = excluded.joined_epoch,
            left_seq = null, left_epoch = null, left_at = null, leaving = false,
            read_seq = excluded.read_seq, read_count = excluded.read_count, increments_base = excluded.increments_base;
    -- A stay that ended before the first entry, and so is empty, begins at 1 as well.
    insert into period (conversation, user_id, from_seq) select c.key, u, c.last_seq from unnest(v_new) u
      on conflict (conversation, user_id, from_seq) do update set to_seq = null;
  end if;
  if v_welcome is not null then
    insert into welcome (conversation, user_id, seq, epoch, welcome)
      select c.key, u, c.last_seq, c.epoch, v_welcome from unnest(v_adds) u
      on conflict (conversation, user_id) do update
        set id = excluded.id, seq = excluded.seq, epoch = excluded.epoch, welcome = excluded.welcome;
  end if;
  if v_group_info is not null then
    insert into group_info (conversation, epoch, group_info) values (c.key, c.epoch, v_group_info)
      on conflict (conversation) do update set epoch = excluded.epoch, group_info = excluded.group_info;
  end if;
  result := jsonb_build_object('status', 'accepted', 'seq', c.last_seq, 'epoch', c.epoch,
                               'sha256', encode(v_sha, 'hex'), 'at', c.last_at);
end $$;
