-- A GroupInfo for the current epoch from a member, admitted. The first one stays, so that everybody reads the same; an admin may
-- replace it, since the first one may be a lie.
create or replace function decide_group_info(inout c conversation, m member, op jsonb, p_group_info bytea, out result jsonb)
language plpgsql as $$
declare
  v_same boolean := (select group_info = p_group_info from group_info where conversation = c.key and epoch = c.epoch);
begin
  if v_same then
    result := jsonb_build_object('status', 'duplicate', 'epoch', c.epoch);
    return;
  end if;
  result := coalesce(
    case when not v_same and m.role <> 'admin' then refusal('group-info-exists') end,
    group_info_refusal(c, op, p_group_info),
    case when op ? 'leaves' then ratchet_tree_refusal(c, json_texts(op -> 'leaves'), '{}', '{}') end);
  if result is not null then return; end if;
  perform store_group_info(c, op, p_group_info);
  if op ? 'device' then perform note_device_leaf(c.key, c.epoch, op ->> 'actor', op ->> 'device', decode(op ->> 'leaf', 'hex')); end if;
  -- Removals that could not be proposed without it are looked at again.
  update removal set epoch = null, tried_at = null where conversation = c.key and done_at is null and proposals = '{}';
  if not v_same then
    perform audit_bounded(c, m.user_id, 'group-info-replaced', jsonb_build_object('epoch', c.epoch));
  end if;
  result := jsonb_build_object('status', 'accepted', 'epoch', c.epoch);
end $$;

-- Step 10 of admit().
create or replace function group_info_epoch_refusal(c conversation, p_epoch bigint) returns jsonb
language sql immutable as $$
  select case when p_epoch is distinct from c.epoch then
    epoch_refusal(case when p_epoch > c.epoch then 'epoch-ahead' else 'group-info-stale' end, c.epoch, p_epoch) end
$$;

-- Null when the conversation takes this GroupInfo, and what came with it: its cipher suite is the pinned one, and it has all that
-- the policy requires. op.suite: of the GroupInfo, the Welcome and the added key packages. op.lacks: what the GroupInfo lacks.
create or replace function group_info_refusal(c conversation, op jsonb, p_group_info bytea) returns jsonb
language plpgsql stable as $$
declare
  v_suite int := (select cipher_suite from group_info where conversation = c.key);
  v_lack text;
begin
  if op ? 'suite' and (op ->> 'suite')::int <> v_suite then
    return refusal(case when p_group_info is not null then 'group-info-mismatch' when op ? 'refs' then 'welcome-mismatch'
                        else 'membership-mismatch' end,
                   jsonb_build_object('detail', format('The cipher suite of this group is %s', v_suite)));
  end if;
  if p_group_info is null or not op ? 'lacks' or c.policy ->> 'groupInfo' is distinct from 'required' then return null; end if;
  select lack into v_lack from jsonb_array_elements_text(op -> 'lacks') lack
    where lack <> 'external_pub' or c.policy ->> 'externalJoin' <> 'nobody' limit 1;
  return case when v_lack is not null then refusal('group-info-mismatch', jsonb_build_object('detail',
    'The policy requires a GroupInfo with ' || case v_lack
      when 'external_pub' then 'external_pub'
      when 'cipher_suite' then 'a cipher suite that the service can check'
      else 'a ratchet tree that the service can check' end)) end;
end $$;

-- Null when the key packages of a Welcome have its cipher suite.
create or replace function welcome_suite_refusal(op jsonb, p_refs bytea[]) returns jsonb
language sql stable as $$
  select case when exists (select from key_package where ref = any (p_refs) and cipher_suite <> (op ->> 'suite')::int) then
    refusal('welcome-mismatch', '{"detail": "A key package in the Welcome is of another cipher suite"}') end
$$;

-- Stores the GroupInfo of the current epoch in place of an earlier one, with what the service knows about it.
create or replace function store_group_info(c conversation, op jsonb, p_group_info bytea) returns void
language plpgsql as $$
declare
  v_tree bytea;
begin
  if op ? 'computed' then
    select tree into v_tree from computed_tree where conversation = c.key and group_info = sha256(p_group_info);
    delete from computed_tree where conversation = c.key;
  end if;
  insert into group_info as g (conversation, epoch, group_info, cipher_suite, checked, proven, tree)
    values (c.key, c.epoch, p_group_info, case when op ? 'checked' then (op ->> 'suite')::int end, op ? 'checked', op ? 'proven',
            v_tree)
    on conflict (conversation) do update set epoch = excluded.epoch, group_info = excluded.group_info,
      cipher_suite = coalesce(g.cipher_suite, excluded.cipher_suite), checked = excluded.checked, proven = excluded.proven,
      tree = excluded.tree, version = excluded.version;
end $$;

-- Records what the service found out about the GroupInfo of a new conversation; another one may have replaced it since.
create or replace function mark_group_info(p_id text, p_sha256 bytea, p_suite int) returns void
language sql volatile as $$
  update group_info set cipher_suite = coalesce(cipher_suite, p_suite), checked = true, version = gen_random_uuid()
    where conversation = (select key from conversation where id = p_id) and sha256(group_info) = p_sha256
$$;

-- Keeps a computed tree until the commit or GroupInfo that it is for is decided. Those that are older than any request are of no
-- use any more.
create or replace function offer_tree(p_id text, p_group_info bytea, p_tree bytea) returns void
language plpgsql as $$
declare
  v_key bigint := (select key from conversation where id = p_id);
begin
  delete from computed_tree where conversation = v_key and at < clock_timestamp() - computed_tree_lifetime();
  insert into computed_tree (conversation, group_info, tree) select v_key, p_group_info, p_tree where v_key is not null
    on conflict (conversation, group_info) do update set at = clock_timestamp();
end $$;
