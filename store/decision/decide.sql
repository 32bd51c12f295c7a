create or replace function due_fact(c conversation) returns jsonb
language sql immutable as $$
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

-- Decides operations on one conversation, in order. p_bytes: bytes of inline operations, by 1-based position.
-- Returns {facts, outcomes}; see domain/operation.ts.
create or replace function decide(p_id text, p_ops jsonb, p_bytes bytea[] default '{}') returns jsonb
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
  v_changed boolean := false;
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
      when 'group-info' then r := decide_group_info(c, op, p_bytes);
      else r := decide_other(c, op, p_bytes);
    end case;
    -- What is only deferred finds its bytes again.
    if op ? 'body' and r.result ->> 'code' is distinct from 'deferred' then
      delete from staged where key = (op ->> 'body')::bigint and conversation = c.key;
    end if;
    v_changed := v_changed
      or r.result ->> 'status' = 'accepted' and op ->> 'kind' not in ('message', 'read', 'increment', 'group-info');
    c := r.c;
    v_results := array_append(v_results, r.result);
    i := i + 1;
  end loop;
  if c is distinct from o then
    update conversation set epoch = c.epoch, last_seq = c.last_seq, app_count = c.app_count, increments = c.increments,
        member_count = c.member_count, policy = c.policy, last_at = c.last_at, due_at = c.due_at,
        deleted_at = c.deleted_at, last_commit_seq = c.last_commit_seq, successor = c.successor
      where key = c.key;
  end if;
  return jsonb_build_object(
    'facts', jsonb_build_object('found', c.deleted_at is null, 'protocol', c.protocol, 'epoch', c.epoch,
        'lastSeq', c.last_seq, 'memberCount', c.member_count) || due_fact(c)
      || case when v_changed then '{"changed": true}'::jsonb else '{}' end,
    'outcomes', to_jsonb(v_results));
end $$;
