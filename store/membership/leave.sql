-- Leaving: nobody can commit their own removal in MLS. Reading ends at the own Remove proposal (else at the last entry),
-- sending at once; the user stands in `leaving` until a commit removes it.
create or replace function decide_leave(inout c conversation, op jsonb, p_bytes bytea[], out result jsonb)
language plpgsql as $$
declare
  v_fingerprint bytea := decode(coalesce(op ->> 'sha256', ''), 'hex');
  v_actor text := op ->> 'actor';
  v_seqs bigint[];
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

  if m.left_seq is null and c.policy ->> 'lastAdmin' = 'refuse' and c.member_count > 1
     and loses_last_admin(c, array[v_actor]) then
    result := refusal('not-allowed', '{"detail": "The last admin cannot leave: make somebody else admin first"}');
    return;
  end if;
  if op ? 'sha256' then
    -- The proposal is judged as any other; the leave stands or falls with it.
    r := decide_message(c, op || '{"type": "proposal"}', p_bytes);
    c := r.c;
    result := r.result;
    -- One that stands in the log from an earlier stay ended that one.
    if result ->> 'status' = 'refused' or m.left_seq is not null
       or result ->> 'status' = 'duplicate' and (result ->> 'seq')::bigint < m.joined_seq then
      return;
    end if;
  else
    result := membership_refusal(true, m);
    if result is null and late(op) then result := refusal('deadline'); end if;
    if result is not null then return; end if;
  end if;
  update member set left_seq = c.last_seq, left_epoch = c.epoch, left_at = clock_timestamp(), left_policy = c.policy,
                    leaving = true, left_self = true, awaited = false, role = 'member'
    where conversation = c.key and user_id = v_actor;
  update period set to_seq = c.last_seq where conversation = c.key and user_id = v_actor and to_seq is null;
  with gone as (delete from welcome where conversation = c.key and user_id = v_actor returning seq)
    select array_agg(distinct seq) into v_seqs from gone;
  perform drop_welcome_bodies(c.key, v_seqs);
  c.member_count := c.member_count - 1;
  perform tell(c, 'removed', jsonb_build_object('users', array[v_actor]));
  perform hand_over(c);
  result := jsonb_build_object('status', 'accepted', 'seq', c.last_seq, 'epoch', c.epoch);
  insert into operation (conversation, id, kind, actor, fingerprint, answer)
    values (c.key, op ->> 'id', 'leave', v_actor, v_fingerprint, result);
end $$;
