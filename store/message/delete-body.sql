-- Deleting the body of a message (docs/adr/0049-deleted-bodies.md): its bytes go, and the entry stays with its hash and its value of
-- the chain. Not an operation of the conversation's queue: it takes no seq, and repeated it changes nothing, so that it needs no id and
-- no stored answer, which would name who deleted.

-- What a user needs to delete the body of an entry: {hash?, refusal?}, that is the hash of the secret that its sender has, and what
-- stands against a deletion without one. Or a refusal ({status, code}), whatever the user has. Takes no lock.
create or replace function judge_body_deletion(p_id text, p_user text, p_seq bigint) returns jsonb
language plpgsql stable as $$
declare
  c conversation;
  m member;
  v_content text;
  v_hash bytea;
  v_answer jsonb;
begin
  select * into c from conversation where id = p_id;
  select * into m from member where conversation = c.key and user_id = p_user;
  if c.deleted_at is not null or m.user_id is null then return refusal('not-found'); end if;
  v_answer := coalesce(removed_refusal(m.left_seq), cut_off_refusal(c, m, jsonb_build_object('actor', p_user)));
  if v_answer is not null then return v_answer; end if;
  select e.kind, e.delete_hash into v_content, v_hash from entry e
    where e.conversation = c.key and e.seq = p_seq and (
      select true from period p where p.conversation = c.key and p.user_id = p_user and p.from_seq <= p_seq
        and (p.to_seq is null or p.to_seq >= p_seq) limit 1) is not null;
  if not found then return refusal('not-found'); end if;
  -- Who reads the log later could not follow the group without them.
  if v_content <> 'application' then
    return refusal('not-allowed', '{"detail": "Only messages can be deleted: the group needs its commits and proposals"}');
  end if;
  return jsonb_strip_nulls(jsonb_build_object('hash', encode(v_hash, 'hex'), 'refusal', coalesce(
    case when m.role <> 'admin' or c.policy ->> 'whoMayDelete' = 'nobody' then
      refusal('not-allowed', '{"detail": "Show the secret of the message"}') end,
    pending_join_refusal(m.awaited))));
end $$;

-- Deletes the body. p_hash: hash of the secret that was shown; null = an admin deletes. What was judged before is judged again, under
-- the lock. Returns the refusal, else {status, seq, kind, epoch, sha256, chain?, lastSeq, changed}: what is left of the entry.
create or replace function delete_body(p_id text, p_user text, p_seq bigint, p_hash bytea) returns jsonb
language plpgsql as $$
declare
  c conversation;
  v_judged jsonb;
  v_sha256 bytea;
  v_size int;
  v_deleted boolean;
  v_answer jsonb;
begin
  perform expect_lock(p_id);
  v_judged := judge_body_deletion(p_id, p_user, p_seq);
  if v_judged ? 'status' then return v_judged; end if;
  if p_hash is null and v_judged ? 'refusal' then return v_judged -> 'refusal'; end if;
  if p_hash is not null and v_judged ->> 'hash' is distinct from encode(p_hash, 'hex') then return refusal('not-allowed'); end if;
  select * into c from conversation where id = p_id;
  select e.sha256, octet_length(e.ciphertext), e.deleted, jsonb_build_object('status', 'accepted', 'seq', e.seq, 'kind', e.kind,
      'epoch', e.epoch, 'sha256', encode(e.sha256, 'hex'), 'lastSeq', c.last_seq, 'changed', not e.deleted) || chain_fact(e.chain)
    into v_sha256, v_size, v_deleted, v_answer
    from entry e where e.conversation = c.key and e.seq = p_seq;
  if not v_deleted then
    update entry set ciphertext = null, deleted = true where conversation = c.key and seq = p_seq;
    update conversation set deletions = deletions + 1, changed_xid = pg_current_xact_id() where key = c.key;
    -- A copy that a retry has staged. It needs no bytes to be answered as a duplicate.
    delete from staged where key = any (array(
      select s.key from (select key, ciphertext from staged where conversation = c.key and octet_length(ciphertext) = v_size limit 8) s
      where sha256(s.ciphertext) = v_sha256));
    perform record_change(c, 'body-deleted', jsonb_build_object('entry', p_seq));
    -- The sender stays unnamed.
    if p_hash is null then perform audit_bounded(c, p_user, 'delete-body', jsonb_build_object('seq', p_seq)); end if;
  end if;
  return v_answer;
end $$;
