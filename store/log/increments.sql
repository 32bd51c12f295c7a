-- Explicit increments of unread counts. An increment is stored, then answered, and then counted once: by the workflow, by an API
-- process while Temporal is away, or by the sweep. Whoever deletes its row counts it.

-- Stores an increment before it is counted. All checks are here (the order of checks, without deadline): what was stored is counted,
-- also if its user is removed meanwhile.
-- p_op: {kind, id, actor, by}. Returns {outcome, stored?}: the key of the row that waits to be counted.
create or replace function store_increment(p_conversation text, p_op jsonb, p_quota int) returns jsonb
language plpgsql as $$
declare
  c conversation;
  m member;
  v_answer jsonb;
  v_key bigint;
begin
  select * into c from conversation where id = p_conversation;
  if not found or c.deleted_at is not null then return jsonb_build_object('outcome', refusal('not-found')); end if;
  select * into m from member where conversation = c.key and user_id = p_op ->> 'actor';
  v_answer := coalesce(never_member_refusal(m, p_op), pending_increment_answer(c, m, p_op), earlier_answer(c, m, p_op),
                       membership_refusal(c, m, p_op), successor_refusal(c, m, p_op), pending_join_refusal(c, m, p_op),
                       pending_increments_refusal(m.user_id, p_quota));
  if v_answer is not null then
    return jsonb_build_object('outcome', v_answer) || coalesce((
      select jsonb_build_object('stored', key) from pending_increment
      where conversation = c.key and id = p_op ->> 'id' and v_answer ->> 'status' = 'duplicate'), '{}');
  end if;
  insert into pending_increment (key, conversation, id, user_id, amount)
    values (staged_key(), c.key, p_op ->> 'id', m.user_id, (p_op ->> 'by')::bigint)
    on conflict (conversation, id) do nothing returning key into v_key;
  -- The same id was stored in this very moment.
  if v_key is null then return store_increment(p_conversation, p_op, p_quota); end if;
  return jsonb_build_object('outcome', '{"status": "accepted"}'::jsonb, 'stored', v_key);
end $$;

-- Step 3 for an increment whose id waits to be counted.
create or replace function pending_increment_answer(c conversation, m member, op jsonb) returns jsonb
language sql stable as $$
  select case when user_id = m.user_id and amount = (op ->> 'by')::bigint
      then '{"status": "duplicate"}'::jsonb
      else coalesce(membership_refusal(c, m, op), id_reused_refusal(m)) end
  from pending_increment where conversation = c.key and id = op ->> 'id'
$$;

-- Bounds the rows that wait for one user.
create or replace function pending_increments_refusal(p_user text, p_quota int) returns jsonb
language sql stable as $$
  select case when (select count(*) from pending_increment where user_id = p_user) >= p_quota then
    refusal('rate-limited') || '{"detail": "Too many of your increments wait to be counted", "forMs": 1000}' end
$$;

-- Counts a stored increment (op: `stored` = its key), if its row is still there. The transaction holds the lock of the conversation.
create or replace function count_stored_increment(inout c conversation, op jsonb, out result jsonb)
language plpgsql as $$
declare
  p pending_increment;
  r record;
begin
  result := '{"status": "duplicate"}';
  delete from pending_increment where key = (op ->> 'stored')::bigint and conversation = c.key returning * into p;
  if not found then return; end if;
  op := jsonb_build_object('kind', 'increment', 'id', p.id, 'actor', p.user_id, 'by', p.amount);
  -- The same increment may have come whole, from a process of release 0.2.0, and was counted then.
  perform from operation where conversation = c.key and id = p.id and kind = 'increment' and actor = p.user_id;
  if found then return; end if;
  r := decide_increment(c, op);
  c := r.c;
  result := r.result;
  -- Something else may have taken the id meanwhile: its answer stays.
  insert into operation (conversation, id, kind, actor, fingerprint, answer)
    values (c.key, p.id, 'increment', p.user_id, operation_fingerprint(op), result)
    on conflict (conversation, id) do nothing;
end $$;

-- Adds to the unread count of every member but the actor. The base of a member holds the increments that do not count for it.
create or replace function decide_increment(inout c conversation, op jsonb, out result jsonb)
language plpgsql as $$
begin
  c.increments := c.increments + (op ->> 'by')::bigint;
  update member set increments_base = increments_base + (op ->> 'by')::bigint
    where conversation = c.key and user_id = op ->> 'actor';
  result := '{"status": "accepted"}';
end $$;
