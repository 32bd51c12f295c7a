-- The deciding transaction: one call of decide() is one transaction. Its first statement locks the conversation's row;
-- everything else is read in later statements, because a statement's snapshot is older than the lock it waited for.
-- Operations are decided in their order; long runs of plain messages take a set-based branch.

create function refusal(p_code text, p_details jsonb default '{}') returns jsonb
language sql immutable as $$ select jsonb_build_object('status', 'refused', 'code', p_code) || p_details $$;

create function epoch_refusal(p_code text, p_current bigint, p_submitted bigint) returns jsonb
language sql immutable as $$
  select jsonb_build_object('status', 'refused', 'code', p_code, 'currentEpoch', p_current, 'submittedEpoch', p_submitted)
$$;

-- Null when the user is a current member, else how it is refused: former members hear where they left, others nothing.
create function membership_refusal(p_found boolean, m member) returns jsonb
language sql immutable as $$
  select case
    when not p_found then refusal('not-found')
    when m.left_seq is not null then refusal('removed', jsonb_build_object('seq', m.left_seq))
  end
$$;

create function late(op jsonb) returns boolean
language sql volatile as $$
  select coalesce((op ->> 'notAfter')::bigint < extract(epoch from clock_timestamp()) * 1000, false)
$$;

create function allows(p_who text, p_role text) returns boolean
language sql immutable as $$ select p_who = 'member' or (p_who = 'admin' and p_role = 'admin') $$;

-- Whether application entries of epoch e may be stored now (invariant 4); null = yes.
create function window_refusal(c conversation, e bigint) returns jsonb
language sql immutable as $$
  select case
    when e > c.epoch then epoch_refusal('epoch-ahead', c.epoch, e)
    when e < c.epoch - (c.policy ->> 'epochWindow')::int then epoch_refusal('epoch-too-old', c.epoch, e)
  end
$$;

-- When the timer next has work, after an entry at `at`: the oldest application body decides, and is only ever older.
create function due_after(c conversation) returns timestamptz
language sql stable as $$
  select coalesce(c.due_at, c.last_at + make_interval(days => (c.policy ->> 'retentionDays')::int))
$$;

create function due_fact(c conversation) returns jsonb
language sql immutable as $$
  select case when c.due_at is null then '{}'
    else jsonb_build_object('dueAt', floor(extract(epoch from c.due_at) * 1000)) end
$$;

-- The answer that an operation without an entry got before, or how another use of its id is refused; null = a new id.
create function earlier_answer(c conversation, p_id text, p_kind text, p_actor text, p_fingerprint bytea, m member) returns jsonb
language sql stable as $$
  select case when o.kind = p_kind and o.actor = p_actor and o.fingerprint = p_fingerprint then o.answer || '{"status": "duplicate"}'
    else coalesce(membership_refusal(true, m), refusal('id-reused')) end
  from operation o where o.conversation = c.key and o.id = p_id
$$;

-- One message. Order of checks: retry look-up, membership, deadline, policy, epoch.
create function decide_message(inout c conversation, op jsonb, p_bytes bytea[], out result jsonb)
language plpgsql as $$
declare
  v_id text := op ->> 'id';
  v_sha bytea := decode(op ->> 'sha256', 'hex');
  v_type text := case when op ->> 'type' = 'proposal' then 'proposal' else 'application' end;
  v_actor text;
  v_epoch bigint;
  v_ciphertext bytea;
  e entry;
  m member;
begin
  if op ? 'body' then
    delete from staged where key = (op ->> 'body')::bigint and conversation = c.key
      returning user_id, epoch, ciphertext into v_actor, v_epoch, v_ciphertext;
  else
    v_actor := op ->> 'actor';
    v_epoch := (op ->> 'epoch')::bigint;
    v_ciphertext := p_bytes[(op #>> '{bytes,ciphertext}')::int];
  end if;

  if v_actor is not null then
    select * into m from member where conversation = c.key and user_id = v_actor;
    if not found then
      result := refusal('not-found');
      return;
    end if;
  end if;

  select * into e from entry where conversation = c.key and message_id = v_id;
  if found then
    -- mls application rows name no sender: there the bytes, which only their sender could make, stand for it.
    if e.kind = v_type and e.sha256 = v_sha and (e.sender is null or v_actor is null or e.sender = v_actor) then
      -- Staged bytes that are gone were consumed by an earlier run of this very operation: its answer is repeated.
      result := jsonb_build_object('status', case when v_actor is null then 'accepted' else 'duplicate' end,
                                   'seq', e.seq, 'epoch', e.epoch);
    elsif m.left_seq is not null then
      result := membership_refusal(true, m);
    else
      result := refusal('id-reused');
    end if;
    return;
  end if;
  if v_actor is null or v_ciphertext is null then
    result := refusal('body-missing');
    return;
  end if;
  result := membership_refusal(true, m);
  if result is not null then return; end if;
  if late(op) then
    result := refusal('deadline');
    return;
  end if;

  v_epoch := coalesce(v_epoch, c.epoch);
  if v_type = 'proposal' then
    if not allows(c.policy ->> 'whoMayPropose', m.role) then
      result := refusal('not-allowed');
    elsif v_epoch > c.epoch then
      result := epoch_refusal('epoch-ahead', c.epoch, v_epoch);
    elsif v_epoch < c.epoch then
      result := epoch_refusal('proposal-stale', c.epoch, v_epoch);
    elsif (select count(*) >= 3 from entry where conversation = c.key and kind = 'proposal' and sender = v_actor
             and seq > c.last_commit_seq) then
      result := refusal('rate-limited');
    end if;
  else
    result := window_refusal(c, v_epoch);
  end if;
  if result is not null then return; end if;

  c.last_seq := c.last_seq + 1;
  c.last_at := greatest(c.last_at, clock_timestamp());
  if v_type = 'application' then
    c.app_count := c.app_count + 1;
    c.due_at := due_after(c);
    -- Sending counts as having read (invariant 7); a client's proposals may be sent unseen by its user.
    update member set read_seq = c.last_seq, read_count = c.app_count where conversation = c.key and user_id = v_actor;
  end if;
  insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, at)
    values (c.key, c.last_seq, v_type, v_epoch, v_id, v_sha, v_ciphertext,
            case when c.protocol = 'opaque' or v_type = 'proposal' then v_actor end, c.app_count, c.last_at);
  result := jsonb_build_object('status', 'accepted', 'seq', c.last_seq, 'epoch', v_epoch);
end $$;

-- A run of application messages by one statement: the same judgement as decide_message. Null when an id stands in it
-- twice: then they are decided one by one. `limit 1` and the row's address make every look-up one by key, where a join
-- might read all members; the address is good, since member rows only change under the conversation's lock.
create function decide_messages(inout c conversation, p_ops jsonb, p_bytes bytea[], out results jsonb)
language plpgsql as $$
declare
  v_at timestamptz := greatest(c.last_at, clock_timestamp());
  v_now bigint := extract(epoch from clock_timestamp()) * 1000;
  v_oldest bigint := c.epoch - (c.policy ->> 'epochWindow')::int;
  v_accepted int;
begin
  if (select count(distinct o ->> 'id') < jsonb_array_length(p_ops) from jsonb_array_elements(p_ops) o) then return; end if;
  with op as (
    select i.n, i.id, decode(i.sha256, 'hex') as sha, i.not_after,
           case when i.body is null then i.actor else s.user_id end as actor,
           coalesce(case when i.body is null then i.epoch else s.epoch end, c.epoch) as epoch,
           case when i.body is null then p_bytes[(i.bytes ->> 'ciphertext')::int] else s.ciphertext end as ciphertext
    from rows from (jsonb_to_recordset(p_ops) as (id text, sha256 text, body bigint, actor text, epoch bigint,
                                                  bytes jsonb, "notAfter" bigint))
         with ordinality as i (id, sha256, body, actor, epoch, bytes, not_after, n)
    left join lateral (select user_id, epoch, ciphertext from staged
      where key = i.body and conversation = c.key limit 1) s on true
  ), judged as (
    select o.*, e.seq as first_seq, e.epoch as first_epoch, m.left_seq, m.ctid as member_row,
      case
        when o.actor is not null and m.ctid is null then 'not-found'
        when e.kind = 'application' and e.sha256 = o.sha
             and (e.sender is null or o.actor is null or e.sender = o.actor) then 'duplicate'
        when e.seq is not null then case when m.left_seq is null then 'id-reused' else 'removed' end
        when o.actor is null or o.ciphertext is null then 'body-missing'
        when m.left_seq is not null then 'removed'
        when o.not_after < v_now then 'deadline'
        when o.epoch > c.epoch then 'epoch-ahead'
        when o.epoch < v_oldest then 'epoch-too-old'
        else 'accepted'
      end as verdict
    from op o
    left join lateral (select ctid, left_seq from member
      where conversation = c.key and user_id = o.actor limit 1) m on true
    left join lateral (select seq, epoch, kind, sha256, sender from entry
      where conversation = c.key and message_id = o.id limit 1) e on true
  ), numbered as materialized (
    select *, count(*) filter (where verdict = 'accepted') over (order by n rows unbounded preceding) as rank from judged
  ), stored as (
    insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, at)
    select c.key, c.last_seq + rank, 'application', epoch, id, sha, ciphertext,
           case when c.protocol = 'opaque' then actor end, c.app_count + rank, v_at
    from numbered where verdict = 'accepted'
  ), marked as (
    update member m set read_seq = c.last_seq + s.rank, read_count = c.app_count + s.rank
    from (select member_row, max(rank) as rank from numbered where verdict = 'accepted' group by member_row) s
    where m.ctid = s.member_row
  ), taken as (
    delete from staged s using jsonb_to_recordset(p_ops) as i (body bigint) where s.key = i.body and s.conversation = c.key
  )
  select jsonb_agg(
      case verdict
        when 'accepted' then jsonb_build_object('status', 'accepted', 'seq', c.last_seq + rank, 'epoch', epoch)
        -- Staged bytes that are gone were consumed by an earlier run of this very operation: its answer is repeated.
        when 'duplicate' then jsonb_build_object('status', case when actor is null then 'accepted' else verdict end,
          'seq', first_seq, 'epoch', first_epoch)
        when 'removed' then refusal('removed', jsonb_build_object('seq', left_seq))
        when 'epoch-ahead' then epoch_refusal(verdict, c.epoch, epoch)
        when 'epoch-too-old' then epoch_refusal(verdict, c.epoch, epoch)
        else refusal(verdict)
      end order by n),
    count(*) filter (where verdict = 'accepted')
  into results, v_accepted
  from numbered;

  if v_accepted > 0 then
    c.last_seq := c.last_seq + v_accepted;
    c.app_count := c.app_count + v_accepted;
    c.last_at := v_at;
    c.due_at := due_after(c);
  end if;
end $$;

-- A commit with its membership changes, Welcome and GroupInfo: all or none (invariant 6). In opaque conversations also an
-- add or remove without a commit: an entry with empty ciphertext that moves the epoch by one.
create function decide_commit(inout c conversation, op jsonb, p_bytes bytea[], out result jsonb)
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

-- Leaving: nobody can commit their own removal in MLS. Reading ends at the own Remove proposal (else at the last entry),
-- sending at once; the user stands in `leaving` until a commit removes it.
create function decide_leave(inout c conversation, op jsonb, p_bytes bytea[], out result jsonb)
language plpgsql as $$
declare
  v_fingerprint bytea := decode(coalesce(op ->> 'sha256', ''), 'hex');
  v_actor text := op ->> 'actor';
  r record;
  m member;
begin
  if op ? 'body' then
    select user_id into v_actor from staged where key = (op ->> 'body')::bigint and conversation = c.key;
    if not found then
      result := refusal('body-missing');
      return;
    end if;
  end if;
  select * into m from member where conversation = c.key and user_id = v_actor;
  if not found then
    result := refusal('not-found');
    return;
  end if;
  -- The answer is kept by id as well: a late retry must not end a later stay.
  result := earlier_answer(c, op ->> 'id', 'leave', v_actor, v_fingerprint, m);
  if result is null and m.leaving then
    result := jsonb_build_object('status', 'duplicate', 'seq', m.left_seq, 'epoch', m.left_epoch);
  end if;
  if result is not null then
    delete from staged where key = (op ->> 'body')::bigint and conversation = c.key;
    return;
  end if;

  if op ? 'sha256' then
    -- The proposal is judged as any other; the leave stands or falls with it.
    r := decide_message(c, op || '{"type": "proposal"}', p_bytes);
    c := r.c;
    result := r.result;
    if result ->> 'status' = 'refused' or m.left_seq is not null then return; end if;
  else
    result := membership_refusal(true, m);
    if result is null and late(op) then result := refusal('deadline'); end if;
    if result is not null then return; end if;
  end if;
  update member set left_seq = c.last_seq, left_epoch = c.epoch, left_at = clock_timestamp(), leaving = true, role = 'member'
    where conversation = c.key and user_id = v_actor;
  update period set to_seq = c.last_seq where conversation = c.key and user_id = v_actor and to_seq is null;
  delete from welcome where conversation = c.key and user_id = v_actor;
  c.member_count := c.member_count - 1;
  result := jsonb_build_object('status', 'accepted', 'seq', c.last_seq, 'epoch', c.epoch);
  insert into operation (conversation, id, kind, actor, fingerprint, answer)
    values (c.key, op ->> 'id', 'leave', v_actor, v_fingerprint, result);
end $$;

-- Read marks, unread increments, roles, policy, deletion: no entry, so the answer is kept under the operation's id.
create function decide_other(inout c conversation, op jsonb, out result jsonb)
language plpgsql as $$
declare
  v_kind text := op ->> 'kind';
  v_actor text := op ->> 'actor';
  v_seq bigint;
  v_target member;
  -- What the operation asks for, however often and until whenever it is tried.
  v_fingerprint bytea := sha256(convert_to((op - 'notAfter')::text, 'UTF8'));
  m member;
begin
  select * into m from member where conversation = c.key and user_id = v_actor;
  if not found then
    result := refusal('not-found');
    return;
  end if;
  result := coalesce(earlier_answer(c, op ->> 'id', v_kind, v_actor, v_fingerprint, m), membership_refusal(true, m));
  if result is not null then return; end if;
  if late(op) then
    result := refusal('deadline');
    return;
  end if;

  result := '{"status": "accepted"}';
  case v_kind
    when 'read' then
      v_seq := least(coalesce((op ->> 'seq')::bigint, c.last_seq), c.last_seq);
      if v_seq > m.read_seq then
        select app_count into m.read_count from entry where conversation = c.key and seq = v_seq;
        m.read_seq := v_seq;
      end if;
      update member set read_seq = m.read_seq, read_count = m.read_count, increments_base = c.increments
        where conversation = c.key and user_id = v_actor;
      result := result || jsonb_build_object('unread', c.app_count - m.read_count);
    when 'increment' then
      c.increments := c.increments + (op ->> 'by')::bigint;
      update member set increments_base = increments_base + (op ->> 'by')::bigint
        where conversation = c.key and user_id = v_actor;
    when 'role' then
      select * into v_target from member where conversation = c.key and user_id = op ->> 'user' and left_seq is null;
      if m.role <> 'admin' then
        result := refusal('not-allowed');
      elsif v_target.user_id is null then
        result := refusal('not-found');
      elsif op ->> 'role' <> 'admin' and v_target.role = 'admin' and not exists (
          select from member x where x.conversation = c.key and x.left_seq is null and x.role = 'admin'
            and x.user_id <> v_target.user_id) then
        -- A conversation keeps at least one admin.
        result := refusal('not-allowed');
      else
        update member set role = op ->> 'role' where conversation = c.key and user_id = op ->> 'user';
        result := result || jsonb_build_object('role', op ->> 'role');
      end if;
    when 'policy' then
      if m.role <> 'admin' then
        result := refusal('not-allowed');
      else
        c.policy := c.policy || (op -> 'policy');
        c.policy := jsonb_strip_nulls(c.policy);
        -- The timer looks again: the new retention may be shorter than the old.
        c.due_at := case when c.policy ? 'retentionDays' and c.app_count > 0 then clock_timestamp() end;
        result := result || jsonb_build_object('policy', c.policy);
      end if;
    when 'delete' then
      if m.role <> 'admin' then
        result := refusal('not-allowed');
      else
        c.deleted_at := clock_timestamp();
        c.due_at := c.deleted_at;
      end if;
    else
      raise exception 'unknown operation kind %', v_kind using errcode = 'PA001';
  end case;
  if result ->> 'status' = 'accepted' then
    insert into operation (conversation, id, kind, actor, fingerprint, answer)
      values (c.key, op ->> 'id', v_kind, v_actor, v_fingerprint, result);
  end if;
end $$;

-- How many operations from position i on are application messages.
create function message_run(p_ops jsonb, i int) returns int
language plpgsql immutable as $$
declare
  n int := i;
begin
  while p_ops -> n ->> 'kind' = 'message' and not p_ops -> n ? 'type' loop n := n + 1; end loop;
  return n - i;
end $$;

-- Decides operations on one conversation, in order. p_bytes: bytes of inline operations, by 1-based position.
-- Returns {facts, outcomes}; see domain/operation.ts.
create function decide(p_id text, p_ops jsonb, p_bytes bytea[] default '{}') returns jsonb
language plpgsql as $$
declare
  c conversation;
  o conversation;
  r record;
  op jsonb;
  -- appended in place, which a jsonb value cannot do
  v_results jsonb[] := '{}';
  v_count int := jsonb_array_length(p_ops);
  v_run int;
  -- position from which to look for a run again
  v_look int := 0;
  i int := 0;
begin
  select * into c from conversation where id = p_id for no key update;
  if not found or c.deleted_at is not null then
    return jsonb_build_object(
      'facts', '{"found": false, "protocol": "mls", "epoch": 0, "lastSeq": 0, "memberCount": 0}'::jsonb || due_fact(c),
      'outcomes', (
        select coalesce(jsonb_agg(coalesce(d.answer || '{"status": "duplicate"}', refusal('not-found')) order by n), '[]')
        from jsonb_array_elements(p_ops) with ordinality as x (p, n)
        -- The retry of the deletion itself is answered until its age sweeps it.
        left join operation d on d.conversation = c.key and d.id = p ->> 'id' and d.kind = 'delete'
          and p ->> 'kind' = 'delete' and d.actor = p ->> 'actor'));
  end if;
  o := c;
  while i < v_count loop
    if i >= v_look and v_count - i >= 8 then
      v_run := message_run(p_ops, i);
      if v_run >= 8 then
        r := decide_messages(c, case when v_run = v_count then p_ops else (
          select jsonb_agg(p_ops -> n order by n) from generate_series(i, i + v_run - 1) n) end, p_bytes);
        if r.results is not null then
          c := r.c;
          v_results := v_results || array(select jsonb_array_elements(r.results));
          i := i + v_run;
          continue;
        end if;
      end if;
      v_look := i + v_run + 1;
    end if;
    op := p_ops -> i;
    case op ->> 'kind'
      when 'message' then r := decide_message(c, op, p_bytes);
      when 'commit' then r := decide_commit(c, op, p_bytes);
      when 'leave' then r := decide_leave(c, op, p_bytes);
      else r := decide_other(c, op);
    end case;
    c := r.c;
    v_results := array_append(v_results, r.result);
    i := i + 1;
  end loop;
  if c is distinct from o then
    update conversation set epoch = c.epoch, last_seq = c.last_seq, app_count = c.app_count, increments = c.increments,
        member_count = c.member_count, policy = c.policy, last_at = c.last_at, due_at = c.due_at,
        deleted_at = c.deleted_at, last_commit_seq = c.last_commit_seq
      where key = c.key;
  end if;
  return jsonb_build_object(
    'facts', jsonb_build_object('found', c.deleted_at is null, 'protocol', c.protocol, 'epoch', c.epoch,
        'lastSeq', c.last_seq, 'memberCount', c.member_count) || due_fact(c),
    'outcomes', to_jsonb(v_results));
end $$;
