-- Whether application entries of epoch e may be stored now (invariant 4); null = yes.
create or replace function window_refusal(c conversation, e bigint) returns jsonb
language sql immutable as $$
  select case
    when e > c.epoch then epoch_refusal('epoch-ahead', c.epoch, e)
    when e < c.epoch - (c.policy ->> 'epochWindow')::int then epoch_refusal('epoch-too-old', c.epoch, e)
  end
$$;

-- When the timer next has work, after an entry at c.last_at: its age comes after all that the timer waits for already.
create or replace function due_after(c conversation) returns timestamptz
language sql stable as $$
  select least(c.due_at, c.last_at + make_interval(days => (c.policy ->> 'retentionDays')::int))
$$;

-- One message. Order of checks: retry look-up, membership, deadline, successor, policy, epoch.
create or replace function decide_message(inout c conversation, op jsonb, p_bytes bytea[], out result jsonb)
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
  result := coalesce(superseded_refusal(c), awaited_refusal(m));
  if result is not null then return; end if;

  v_epoch := coalesce(v_epoch, c.epoch);
  if v_type = 'proposal' then
    -- Leaving is everybody's right.
    if op ->> 'kind' <> 'leave' and not allows(c.policy ->> 'whoMayPropose', m.role) then
      result := refusal('not-allowed');
    elsif v_epoch > c.epoch then
      result := epoch_refusal('epoch-ahead', c.epoch, v_epoch);
    elsif v_epoch < c.epoch then
      result := epoch_refusal('proposal-stale', c.epoch, v_epoch);
    elsif op ->> 'kind' <> 'leave' and (select count(*) >= 3 from entry where conversation = c.key and kind = 'proposal' and sender = v_actor
             and seq > c.last_commit_seq) then
      result := refusal('rate-limited', '{"detail": "At most 3 proposals of a user in an epoch: the next commit makes room"}');
    end if;
  else
    result := window_refusal(c, v_epoch);
  end if;
  if result is not null then return; end if;

  c.last_seq := c.last_seq + 1;
  c.last_at := greatest(c.last_at, clock_timestamp());
  c.due_at := due_after(c);
  if v_type = 'application' then
    c.app_count := c.app_count + 1;
    -- Sending counts as having read (invariant 7); a client's proposals may be sent unseen by its user.
    update member set read_seq = c.last_seq, read_count = c.app_count where conversation = c.key and user_id = v_actor;
  end if;
  insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, at)
    values (c.key, c.last_seq, v_type, v_epoch, v_id, v_sha, v_ciphertext,
            case when c.protocol = 'opaque' or v_type = 'proposal' then v_actor end, c.app_count, c.last_at);
  result := jsonb_build_object('status', 'accepted', 'seq', c.last_seq, 'epoch', v_epoch);
end $$;

-- A run of application messages by one statement: the same judgement as decide_message. Null when an id stands in it
-- twice, or the conversation is superseded: then they are decided one by one. `limit 1` and the row's address make every look-up one by key, where a join
-- might read all members; the address is good, since member rows only change under the conversation's lock.
create or replace function decide_messages(inout c conversation, p_ops jsonb, p_bytes bytea[], out results jsonb)
language plpgsql as $$
declare
  v_at timestamptz := greatest(c.last_at, clock_timestamp());
  v_now bigint := extract(epoch from clock_timestamp()) * 1000;
  v_oldest bigint := c.epoch - (c.policy ->> 'epochWindow')::int;
  v_accepted int;
begin
  if c.successor is not null then return; end if;
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
    select o.*, e.seq as first_seq, e.epoch as first_epoch, m.left_seq, m.ctid as member_row, m.awaited_refusal,
      case
        when o.actor is not null and m.ctid is null then 'not-found'
        when e.kind = 'application' and e.sha256 = o.sha
             and (e.sender is null or o.actor is null or e.sender = o.actor) then 'duplicate'
        when e.seq is not null then case when m.left_seq is null then 'id-reused' else 'removed' end
        when o.actor is null or o.ciphertext is null then 'body-missing'
        when m.left_seq is not null then 'removed'
        when o.not_after < v_now then 'deadline'
        when m.awaited_refusal is not null then 'awaited'
        when o.epoch > c.epoch then 'epoch-ahead'
        when o.epoch < v_oldest then 'epoch-too-old'
        else 'accepted'
      end as verdict
    from op o
    left join lateral (select ctid, left_seq, awaited_refusal(member) from member
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
        when 'awaited' then awaited_refusal
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
