-- What an admin states, and what follows from it: whoever opens a conversation to external commits wants a GroupInfo with
-- every commit, unless it says otherwise.
create or replace function changed_policy(p_policy jsonb, p_stated jsonb) returns jsonb
language sql immutable as $$
  select case when p_policy ->> 'externalJoin' = 'nobody' and coalesce(p_stated ->> 'externalJoin', 'nobody') <> 'nobody'
    then '{"groupInfo": "required"}'::jsonb else '{}' end || p_stated
$$;

-- Read marks, unread increments, roles, policy, reports, reset, deletion: no entry, so the answer is kept under the operation's id.
create or replace function decide_other(inout c conversation, op jsonb, p_bytes bytea[], out result jsonb)
language plpgsql as $$
declare
  v_kind text := op ->> 'kind';
  i record := operation_input(c, op, p_bytes);
  v_actor text := i.actor;
  v_seq bigint;
  v_target member;
  -- What the operation asks for, however often, by whatever path and until whenever it is tried.
  v_fingerprint bytea := sha256(convert_to(
    ((op || i.request) - '{notAfter,actor,body,size,bytes}'::text[])::text, 'UTF8'));
  m member;
begin
  if v_actor is null then
    result := refusal('body-missing');
    return;
  end if;
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
  -- Reading and deleting go on in what another conversation took over, and a reset there may be asked for again.
  if v_kind = 'reset' and c.successor = op ->> 'successor' then
    result := jsonb_build_object('status', 'duplicate', 'successor', c.successor);
  elsif v_kind not in ('read', 'delete') then
    result := superseded_refusal(c);
  end if;
  if result is not null then return; end if;

  result := '{"status": "accepted"}';
  case v_kind
    when 'read' then
      -- Below the horizon nothing is counted any more: reading there is reading up to it.
      v_seq := greatest(least(coalesce((op ->> 'seq')::bigint, c.last_seq), c.last_seq), c.oldest_seq - 1);
      if v_seq > m.read_seq then
        m.read_count := coalesce((select app_count from entry where conversation = c.key and seq = v_seq), c.oldest_count);
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
        if v_target.role <> op ->> 'role' then
          perform tell(c, 'role', jsonb_build_object('user', op ->> 'user', 'role', op ->> 'role'));
        end if;
        result := result || jsonb_build_object('role', op ->> 'role');
      end if;
    when 'policy' then
      if m.role <> 'admin' then
        result := refusal('not-allowed');
      else
        c.policy := jsonb_strip_nulls(c.policy || changed_policy(c.policy, op -> 'policy'));
        -- The timer looks again: the new retention may be shorter than the old.
        c.due_at := case when c.policy ? 'retentionDays' and c.last_seq > 0 then clock_timestamp()
          else (select min(expires_at) from welcome where conversation = c.key) end;
        perform tell(c, 'policy', jsonb_build_object('policy', c.policy));
        result := result || jsonb_build_object('policy', c.policy);
      end if;
    when 'report' then
      result := report(c, m, op, i.request);
    when 'reset' then
      if m.role <> 'admin' and stuck_members(c) < needed_reports(c) then
        result := refusal('not-allowed', '{"detail": "Not enough members have reported that they are stuck"}');
      elsif not succeed(c, v_actor, op ->> 'successor') then
        result := refusal('conversation-exists');
      else
        c.successor := op ->> 'successor';
        perform tell(c, 'superseded', jsonb_build_object('successor', c.successor));
        perform audit(c, v_actor, 'reset', jsonb_build_object('successor', c.successor));
        result := result || jsonb_build_object('successor', c.successor);
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
