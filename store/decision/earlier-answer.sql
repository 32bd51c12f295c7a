-- Answers of operations that were accepted before, so that a retry is answered and never applied again (invariant 3).
-- Operations with an entry are answered from the log, the others from the table `operation`.

-- Read-only look-up for callers that refuse an operation before it is decided: takes no lock and writes nothing.
-- p_op: the operation with its sender and content; its bytes are not needed.
-- Returns {epoch: of the conversation, outcome?: the earlier answer, or the refusal of one who is no current member}.
-- No outcome = the operation is new, and its sender may go on.
create or replace function earlier_answer(p_id text, p_op jsonb) returns jsonb
language plpgsql stable as $$
declare
  c conversation;
  m member;
  v_outcome jsonb;
begin
  select * into c from conversation where id = p_id;
  if not found or c.deleted_at is not null then
    return jsonb_build_object('epoch', 0, 'outcome', coalesce(earlier_deletion(c.key, p_op), refusal('not-found')));
  end if;
  select * into m from member where conversation = c.key and user_id = p_op ->> 'actor';
  v_outcome := coalesce(never_member_refusal(m, p_op), case when p_op ? 'position' then position_refusal(c, m, p_op) end,
    earlier_answer(c, m, p_op), membership_refusal(c, m, p_op));
  return jsonb_build_object('epoch', c.epoch)
    || case when v_outcome is null then '{}' else jsonb_build_object('outcome', v_outcome) end;
end $$;

-- A message or proposal: by its id. The log of an mls conversation names no sender of application messages: there the bytes,
-- which only their sender could make, stand for the sender. The hash that lets the sender delete the body is a part of the message.
-- A message whose staged row is gone has no known sender. An earlier run of this very operation took the row: the first
-- answer is repeated as it was.
create or replace function earlier_message(p_conversation bigint, op jsonb, p_user text, p_left_seq bigint) returns jsonb
language plpgsql stable as $$
declare
  e record;
begin
  select seq, epoch, kind, sha256, sender, chain, delete_hash into e from entry where conversation = p_conversation and message_id = op ->> 'id';
  if not found then return null; end if;
  if e.kind = coalesce(op ->> 'type', 'application') and e.sha256 = decode(op ->> 'sha256', 'hex')
     and e.delete_hash is not distinct from decode(op ->> 'deleteHash', 'hex')
     and (e.sender is null or p_user is null or e.sender = p_user) then
    return jsonb_build_object('status', case when p_user is null then 'accepted' else 'duplicate' end,
                              'seq', e.seq, 'epoch', e.epoch) || chain_fact(e.chain);
  end if;
  return coalesce(removed_refusal(p_left_seq), refusal('id-reused'));
end $$;

-- Null for one who is no member now: an outsider must not learn which ids are in use. The id is replaced (free_entry_id()).
create or replace function id_reused_refusal(m member) returns jsonb
language sql immutable as $$
  select case when m.user_id is not null and m.left_seq is null then refusal('id-reused') end
$$;

-- A commit: by its id, else by its bytes, which name the epoch that they end; an add that changed nothing has no entry.
-- An external commit first by its bytes, because its id may be that of an entry of somebody else.
create or replace function earlier_commit(c conversation, m member, op jsonb) returns jsonb
language plpgsql stable as $$
declare
  v_fingerprint bytea := commit_fingerprint(op, json_texts(op -> 'adds'), json_texts(op -> 'removes'));
  e entry;
begin
  if not op ? 'external' then
    select * into e from entry where conversation = c.key and message_id = op ->> 'id';
  end if;
  if e.seq is null and op ? 'sha256' then
    select * into e from entry where conversation = c.key and kind = 'commit' and epoch = (op ->> 'epoch')::bigint
      and fingerprint = v_fingerprint and sender = op ->> 'actor';
  end if;
  if e.seq is null and op ? 'external' then
    select * into e from entry where conversation = c.key and message_id = op ->> 'id';
  end if;
  if e.seq is null then return earlier_operation(c, m, op); end if;
  if e.kind = 'commit' and e.sender = op ->> 'actor' and e.fingerprint = v_fingerprint then
    return jsonb_build_object('status', 'duplicate', 'seq', e.seq, 'epoch', e.epoch + 1,
                              'sha256', encode(e.sha256, 'hex'), 'at', e.at) || chain_fact(e.chain);
  end if;
  return coalesce(membership_refusal(c, m, op), id_reused_refusal(m));
end $$;

-- A leave: by its id, because a late retry must not end a later membership interval; or the pending removal itself.
-- A proposal of an earlier interval ended that one. A proposal of this interval was sent by itself: the leave goes on.
create or replace function earlier_leave(c conversation, m member, op jsonb) returns jsonb
language plpgsql stable as $$
declare
  v_answer jsonb := earlier_operation(c, m, op);
begin
  if v_answer is not null then return v_answer; end if;
  if m.leaving then return jsonb_build_object('status', 'duplicate', 'seq', m.left_seq, 'epoch', m.left_epoch); end if;
  if not op ? 'sha256' then return null; end if;
  v_answer := earlier_message(c.key, op || '{"type": "proposal"}', m.user_id, m.left_seq);
  if v_answer ->> 'status' = 'duplicate' and m.left_seq is null and (v_answer ->> 'seq')::bigint >= m.joined_seq then
    return null;
  end if;
  return v_answer;
end $$;

-- An operation without an entry: by its id.
create or replace function earlier_operation(c conversation, m member, op jsonb) returns jsonb
language plpgsql stable as $$
declare
  o operation;
begin
  select * into o from operation where conversation = c.key and id = op ->> 'id';
  if not found then return null; end if;
  if o.kind = op ->> 'kind' and o.actor = op ->> 'actor' and o.fingerprint = operation_fingerprint(op) then
    return o.answer || '{"status": "duplicate"}';
  end if;
  return coalesce(membership_refusal(c, m, op), id_reused_refusal(m));
end $$;

-- The deletion of a conversation that is gone: answered until the sweep deletes the answer.
create or replace function earlier_deletion(p_conversation bigint, op jsonb) returns jsonb
language sql stable as $$
  select answer || '{"status": "duplicate"}' from operation
  where op ->> 'kind' = 'delete' and conversation = p_conversation and id = op ->> 'id' and kind = 'delete'
    and actor = op ->> 'actor'
$$;

-- Fingerprint of a commit: its bytes with its adds and removes. Welcome and GroupInfo are not looked at again.
create or replace function commit_fingerprint(op jsonb, p_adds text[], p_removes text[]) returns bytea
language sql stable as $$
  select sha256(convert_to(jsonb_build_array(coalesce(op ->> 'sha256', ''), p_adds, p_removes)::text, 'UTF8'))
$$;

-- Fingerprint of an operation without an entry: what it asks for, without transport fields, deadline and position.
create or replace function operation_fingerprint(op jsonb) returns bytea
language sql stable as $$
  select case op ->> 'kind'
    when 'commit' then commit_fingerprint(op, json_texts(op -> 'adds'), json_texts(op -> 'removes'))
    when 'leave' then decode(coalesce(op ->> 'sha256', ''), 'hex')
    else sha256(convert_to((op - '{notAfter,actor,body,size,bytes,position}'::text[])::text, 'UTF8'))
  end
$$;
