-- The deciding transaction: one call of decide(), try_decide(), decide_waiting() or decide_many() is one transaction
-- (store/decision/locks.sql has the last three). A statement locks the row of the conversation, and everything else is read in later
-- statements, because the snapshot of a statement is older than the lock that it waits for.
-- Operations are decided in their order. Long runs of plain messages take a set-based branch.

-- Decides however long it takes to get the lock. For processes of older releases.
-- p_ops: operations as JSON (store/decision/inline-operation.ts, domain/staged-command.ts). p_bytes: bytes of inline operations, by 1-based position.
-- Returns {facts, outcomes} (`Decision` in domain/decision.ts).
create or replace function decide(p_id text, p_ops jsonb, p_bytes bytea[] default '{}') returns jsonb
language plpgsql as $$
declare
  c conversation;
begin
  select * into c from conversation where id = p_id for no key update;
  return decide_locked(c, p_ops, p_bytes);
end $$;

-- The same for a conversation whose row an earlier statement of the transaction has locked. c: the row; null = there is none.
create or replace function decide_locked(c conversation, p_ops jsonb, p_bytes bytea[]) returns jsonb
language plpgsql as $$
declare
  -- the conversation as it was before
  o conversation := c;
  m member;
  r record;
  op jsonb;
  v_kind text;
  v_result jsonb;
  v_bytes_missing boolean;
  v_actor text;
  v_epoch bigint;
  v_request jsonb;
  v_ciphertext bytea;
  v_welcome bytea;
  v_group_info bytea;
  -- appended in place, which a jsonb value cannot do
  v_results jsonb[] := '{}';
  v_count int := jsonb_array_length(p_ops);
  v_run int;
  v_changed boolean := false;
  -- position from which to look for a run again
  v_look int := 0;
  i int := 0;
begin
  if c.key is null or c.deleted_at is not null then return decision_without_conversation(c, p_ops); end if;
  if c.chain is null then c := begin_chain(c); end if;
  while i < v_count loop
    if i >= v_look and v_count - i >= min_message_run() then
      v_run := message_run(p_ops, i);
      if v_run >= min_message_run() then
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

    -- The parts of the operation: inline (direct execution path), or in its staged row (workflow execution path). The row is
    -- gone when an earlier run decided the operation, or when the sweep took it.
    op := p_ops -> i;
    v_kind := op ->> 'kind';
    if v_kind = 'increment' and op ? 'stored' then
      -- It was admitted when it was stored.
      r := count_stored_increment(c, op);
      c := r.c;
      v_results := array_append(v_results, r.result);
      i := i + 1;
      continue;
    end if;
    if not op ? 'body' then
      v_ciphertext := p_bytes[(op #>> '{bytes,ciphertext}')::int];
      if v_kind <> 'message' then
        v_welcome := p_bytes[(op #>> '{bytes,welcome}')::int];
        v_group_info := p_bytes[(op #>> '{bytes,groupInfo}')::int];
      end if;
    else
      if v_kind = 'message' then
        delete from staged where key = (op ->> 'body')::bigint and conversation = c.key
          returning user_id, epoch, ciphertext into v_actor, v_epoch, v_ciphertext;
        op := with_staged_parts(op, v_actor, v_epoch);
      else
        select user_id, epoch, ciphertext, welcome, group_info, request
          into v_actor, v_epoch, v_ciphertext, v_welcome, v_group_info, v_request
          from staged where key = (op ->> 'body')::bigint and conversation = c.key;
        op := with_staged_parts(op || coalesce(v_request, '{}'), v_actor, v_epoch);
      end if;
    end if;
    select * into m from member where conversation = c.key and user_id = op ->> 'actor';

    v_bytes_missing := not op ? 'actor' or v_kind = 'message' and v_ciphertext is null;
    v_result := admit(c, m, op, v_bytes_missing);
    if v_result is null then
      case v_kind
        when 'message' then r := decide_message(c, op, v_ciphertext);
        when 'commit' then r := decide_commit(c, m, op, v_ciphertext, v_welcome, v_group_info);
        when 'leave' then r := decide_leave(c, m, op, v_ciphertext);
        when 'group-info' then r := decide_group_info(c, m, op, v_group_info);
        when 'read' then r := decide_read(c, m, op);
        when 'increment' then r := decide_increment(c, op);
        when 'role' then r := decide_role(c, op);
        when 'policy' then r := decide_policy(c, op);
        when 'bar' then r := decide_bar(c, op);
        when 'join-request' then r := decide_join_request(c, m, op, v_ciphertext);
        when 'report' then r := decide_report(c, m, op);
        when 'reset' then r := decide_reset(c, op);
        when 'delete' then r := decide_delete(c, op);
        else raise exception 'unknown operation kind %', v_kind using errcode = 'PA001';
      end case;
      c := r.c;
      v_result := r.result;
    end if;

    if v_kind <> 'message' then
      if v_result ->> 'status' = 'accepted' then
        -- What has no entry of its own (then it has no hash) is answered again from here. A GroupInfo answers for itself, a
        -- request to join by its entry.
        if not v_result ? 'sha256' and v_kind not in ('group-info', 'join-request') then
          insert into operation (conversation, id, kind, actor, fingerprint, answer)
            values (c.key, op ->> 'id', v_kind, op ->> 'actor', operation_fingerprint(op), v_result);
        end if;
        v_changed := v_changed or v_kind not in ('read', 'increment', 'group-info', 'join-request');
      elsif v_result ->> 'code' = 'epoch-conflict' and m.user_id is not null and m.left_seq is null then
        -- Commits of outsiders give them no turn before members.
        perform record_lost_commit(c, op);
      end if;
      -- A commit that waits for a reservation needs its bytes again.
      if op ? 'body' and v_result ->> 'code' is distinct from 'deferred' then
        delete from staged where key = (op ->> 'body')::bigint and conversation = c.key;
      end if;
    end if;
    v_results := array_append(v_results, v_result);
    i := i + 1;
  end loop;
  if (c.member_count = 0) <> (o.member_count = 0) then c := with_abandonment(c); end if;
  if c.push_seq <> o.push_seq then perform begin_push(c, o.push_seq); end if;
  -- A change without an entry (a role, for example) is one too for those who list their conversations.
  if v_changed or c is distinct from o then perform save_conversation(c); end if;
  return jsonb_build_object(
    'facts', jsonb_build_object('found', c.deleted_at is null, 'protocol', c.protocol, 'epoch', c.epoch,
        'lastSeq', c.last_seq, 'memberCount', c.member_count) || due_fact(c)
      || case when v_changed then '{"changed": true}'::jsonb else '{}' end,
    'outcomes', to_jsonb(v_results));
end $$;

-- The decision where there is no conversation (any more): only the retry of its deletion has an answer. A staged deletion names no
-- sender, so it is decided again with its parts inline.
create or replace function decision_without_conversation(c conversation, p_ops jsonb) returns jsonb
language sql stable as $$
  select jsonb_build_object(
    'facts', '{"found": false, "protocol": "mls", "epoch": 0, "lastSeq": 0, "memberCount": 0}'::jsonb || due_fact(c),
    'outcomes', (
      select coalesce(jsonb_agg(coalesce(
        earlier_deletion(c.key, op),
        case when op ->> 'kind' = 'delete' and op ? 'body' then refusal('body-missing') end,
        refusal('not-found')) order by n), '[]')
      from jsonb_array_elements(p_ops) with ordinality x (op, n)))
$$;

-- When the timer of the conversation has work next, in milliseconds since 1970; {} = never.
create or replace function due_fact(c conversation) returns jsonb
language sql stable as $$
  select case when c.due_at is null then '{}'
    else jsonb_build_object('dueAt', floor(extract(epoch from c.due_at) * 1000)) end
$$;

-- How many operations from position i on are application messages.
create or replace function message_run(p_ops jsonb, i int) returns int
language plpgsql immutable as $$
declare
  n int := i;
begin
  while p_ops -> n ->> 'kind' = 'message' and not p_ops -> n ? 'type' loop n := n + 1; end loop;
  return n - i;
end $$;

-- An operation with the sender and the epoch of its staged row, in the form of an inline operation. The sender is that of the row
-- only. Reports have no epoch there.
create or replace function with_staged_parts(op jsonb, p_actor text, p_epoch bigint) returns jsonb
language sql stable as $$
  select case
    when p_actor is null then op - 'actor'
    when p_epoch is null then op || jsonb_build_object('actor', p_actor)
    else op || jsonb_build_object('actor', p_actor, 'epoch', p_epoch)
  end
$$;
