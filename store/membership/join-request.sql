-- Requests to join: an outsider puts one proposal with its own key package (RFC 9420 §12.1.8). Members see it in the log, and commit it
-- or do not.

-- A request, admitted. Its key package becomes known as one that its owner has claimed for this conversation: so any member may put it
-- into a Welcome (key_package_refs_refusal()), and nobody else gets it.
create or replace function decide_join_request(inout c conversation, m member, op jsonb, p_ciphertext bytea, out result jsonb)
language plpgsql as $$
declare
  v_actor text := op ->> 'actor';
  v_ref bytea := decode(op #>> '{package,ref}', 'hex');
  v_sha256 bytea := decode(op ->> 'sha256', 'hex');
begin
  result := coalesce(join_request_limit_refusal(c, v_actor), join_request_package_refusal(c, op));
  if result is not null then return; end if;
  c.last_seq := c.last_seq + 1;
  c.chain := chain_after(c.chain, c.last_seq, 'proposal', c.epoch, v_sha256);
  c.last_at := greatest(c.last_at, clock_timestamp());
  c.due_at := due_after(c);
  insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, at, verified, chain)
    values (c.key, c.last_seq, 'proposal', c.epoch, free_entry_id(c, op), v_sha256, p_ciphertext, v_actor,
            c.app_count, c.last_at, true, c.chain);
  insert into key_package as k (ref, user_id, device_id, cipher_suite, key_package, last_resort, not_after, claimed_at,
                                signature_key, leaf_node)
    values (v_ref, v_actor, op ->> 'device', (op #>> '{package,suite}')::int,
            '\x00010005'::bytea || substring(p_ciphertext from (op #>> '{package,offset}')::int + 1 for (op #>> '{package,size}')::int),
            -- Also one that could be a last resort is for this conversation alone, unless it was uploaded before.
            false, to_timestamp((op #>> '{package,notAfter}')::bigint / 1000.0), c.last_at,
            decode(op #>> '{package,keys,signature}', 'hex'), decode(op #>> '{package,leafNode}', 'hex'))
    on conflict (ref) do update set claimed_at = case when not k.last_resort then coalesce(k.claimed_at, excluded.claimed_at) end;
  insert into claim (ref, user_id, conversation, operation)
    values (v_ref, v_actor, c.id, format('join-request %s %s', c.key, c.last_seq));
  delete from join_request where conversation = c.key and epoch < c.epoch;
  insert into join_request (conversation, user_id, epoch, seq, ref) values (c.key, v_actor, c.epoch, c.last_seq, v_ref);
  result := jsonb_build_object('status', 'accepted', 'seq', c.last_seq, 'epoch', c.epoch, 'chain', encode(c.chain, 'base64'));
end $$;

-- Step 3 of admit(). By its bytes: its id may be that of an entry of somebody else. Between the commits that began and ended its epoch.
create or replace function earlier_join_request(c conversation, m member, op jsonb) returns jsonb
language sql stable as $$
  select coalesce((
    select jsonb_build_object('status', 'duplicate', 'seq', seq, 'epoch', epoch) || chain_fact(chain) from entry
  where conversation = c.key and kind = 'proposal' and kind <> 'application'
    and seq > coalesce((select seq from entry where conversation = c.key and kind = 'commit' and epoch = (op ->> 'epoch')::bigint - 1), 0)
    and seq < coalesce((select seq from entry where conversation = c.key and kind = 'commit' and epoch = (op ->> 'epoch')::bigint), c.last_seq + 1)
    and sender = op ->> 'actor' and sha256 = decode(op ->> 'sha256', 'hex')
    order by seq limit 1),
    case when exists (select from entry where conversation = c.key and message_id = op ->> 'id') then id_reused_refusal(m) end)
$$;

-- Step 5 of admit(): null when the user may ask. A member asks for a further device.
create or replace function join_request_refusal(c conversation, m member, op jsonb) returns jsonb
language sql stable as $$
  select case
    when m.user_id is not null and m.left_seq is null then null
    when m.user_id is not null and not m.left_self then refusal('not-found')
    when is_barred(c.key, op ->> 'actor') then refusal('not-found')
    when c.policy ->> 'externalJoin' in ('anyone', 'request') then null
    else coalesce(removed_refusal(m.left_seq), refusal('not-found'))
  end
$$;

-- Null when there is room for one more request in this epoch: one of each user.
create or replace function join_request_limit_refusal(c conversation, p_user text) returns jsonb
language sql stable as $$
  select refusal('rate-limited', jsonb_build_object('forMs', extract(epoch from join_request_retry()) * 1000, 'detail',
      case when is_pending then 'Your request to join is pending' else 'Too many requests to join are pending' end
      || ': the next commit makes room'))
  from (select exists (select from join_request where conversation = c.key and user_id = p_user and epoch = c.epoch) as is_pending,
               (select count(*) from join_request where conversation = c.key and epoch = c.epoch) as pending) r
  where is_pending or pending >= max_join_requests()
$$;

-- Null when the key package of a request may be used: of the cipher suite of the group, with keys of its own, and free.
create or replace function join_request_package_refusal(c conversation, op jsonb) returns jsonb
language plpgsql volatile as $$
declare
  v_ref bytea := decode(op #>> '{package,ref}', 'hex');
  v_not_after timestamptz := to_timestamp((op #>> '{package,notAfter}')::bigint / 1000.0);
  v_suite int := (select cipher_suite from group_info where conversation = c.key);
  k key_package;
begin
  if (op #>> '{package,suite}')::int <> v_suite then
    return refusal('membership-mismatch', jsonb_build_object('detail', format('The cipher suite of this group is %s', v_suite)));
  end if;
  select * into k from key_package where ref = v_ref;
  if v_not_after <= clock_timestamp() or k.used_at is not null or k.replaced_at is not null
     or k.user_id <> op ->> 'actor' or (k.claimed_at is not null and not exists (
       select from claim where ref = v_ref and user_id = op ->> 'actor' and conversation = c.id)) then
    return refusal('key-package-stale', jsonb_build_object('refs', array[encode(v_ref, 'base64')]));
  end if;
  if cardinality(take_public_keys(op ->> 'actor', array[v_ref], array[v_not_after], array[decode(op #>> '{package,keys,init}', 'hex')],
       array[decode(op #>> '{package,keys,encryption}', 'hex')], array[decode(op #>> '{package,keys,signature}', 'hex')])) > 0 then
    return refusal('malformed', '{"detail": "A key of the key package was used before"}');
  end if;
  return null;
end $$;
