-- Leaves of the ratchet tree whose device is known, and leaves that should go (tables `device_leaf` and `pending_removal`). A leaf is
-- named by the SHA-256 of its signature key.

-- Notes whose a leaf is. Not for devices with the name `default`, which may be several.
create or replace function note_device_leaf(p_conversation bigint, p_epoch bigint, p_user text, p_device text, p_leaf bytea) returns void
language sql volatile as $$
  insert into device_leaf as d (conversation, leaf, user_id, device_id, since_epoch)
    select p_conversation, p_leaf, p_user, p_device, p_epoch where p_device <> 'default' and p_leaf is not null
    on conflict (conversation, leaf) do update set user_id = excluded.user_id, device_id = excluded.device_id
      where d.user_id <> excluded.user_id or d.device_id <> excluded.device_id
$$;

-- The same for a conversation by its id: the creator's leaf.
create or replace function note_creator_leaf(p_id text, p_user text, p_device text, p_leaf bytea) returns void
language sql volatile as $$
  select note_device_leaf(key, epoch, p_user, p_device, p_leaf) from conversation where id = p_id and deleted_at is null
$$;

-- Notes the leaves that a Welcome brought: those of its key packages.
create or replace function note_welcomed_leaves(c conversation, p_refs bytea[]) returns void
language sql volatile as $$
  insert into device_leaf as d (conversation, leaf, user_id, device_id, since_epoch)
    select c.key, k.signature_key, k.user_id, k.device_id, c.epoch
    from (select distinct ref from unnest(p_refs) x (ref)) r
    cross join lateral (select * from key_package where ref = r.ref limit 1) k
    where k.signature_key is not null and k.device_id not in ('', 'default')
    on conflict (conversation, leaf) do update set user_id = excluded.user_id, device_id = excluded.device_id
$$;

-- After an external commit: the other leaves of the device that joined again should go.
create or replace function note_ghosts(c conversation, p_user text, p_device text, p_leaf bytea) returns void
language sql volatile as $$
  insert into pending_removal (conversation, user_id, leaf, reason, device_id, since_epoch)
    select c.key, p_user, d.leaf, 'ghost', p_device, c.epoch
    from (select leaf from device_leaf where user_id = p_user and device_id = p_device and conversation = c.key) d
    where p_device <> 'default' and d.leaf <> p_leaf
    on conflict do nothing
$$;

-- Notes what an accepted commit says about leaves. op.leaf: the leaf that signed it, or its GroupInfo, for the sender's device;
-- op.goneLeaves: leaves that the tree has no more; op.lostLeaves: the nodes of those among them that a key package brought.
create or replace function note_leaves(c conversation, op jsonb, p_refs bytea[]) returns void
language plpgsql as $$
declare
  v_leaf bytea := decode(op ->> 'leaf', 'hex');
  v_gone bytea[];
begin
  if op ? 'goneLeaves' then
    v_gone := hex_list(op -> 'goneLeaves');
    delete from device_leaf where conversation = c.key and leaf = any (v_gone);
    delete from pending_removal where conversation = c.key and leaf = any (v_gone);
    update group_info set left_out = (hex_list(op -> 'lostLeaves') || left_out)[1:max_left_out()]
      where conversation = c.key and op ? 'lostLeaves';
  end if;
  if cardinality(p_refs) > 0 then perform note_welcomed_leaves(c, p_refs); end if;
  if v_leaf is not null and op ? 'device' then
    perform note_device_leaf(c.key, c.epoch, op ->> 'actor', op ->> 'device', v_leaf);
    if op ? 'external' then perform note_ghosts(c, op ->> 'actor', op ->> 'device', v_leaf); end if;
  end if;
end $$;

-- A user left by itself: all its leaves should go.
create or replace function note_leaving(c conversation, p_user text) returns void
language sql volatile as $$
  insert into pending_removal (conversation, user_id, reason, since_epoch) values (c.key, p_user, 'left', c.epoch)
    on conflict do nothing
$$;

-- Users who left by themselves are members again.
create or replace function end_leaving(p_conversation bigint, p_users text[]) returns void
language sql volatile as $$
  delete from pending_removal where conversation = p_conversation and user_id = any (p_users) and leaf = '' and reason = 'left'
$$;

-- All leaves of these users are gone.
create or replace function forget_leaves(p_conversation bigint, p_users text[]) returns void
language plpgsql as $$
begin
  delete from pending_removal where conversation = p_conversation and user_id = any (p_users);
  -- One pass over the leaves of the conversation, however many users.
  delete from device_leaf where (conversation, leaf) in (
    select conversation, leaf from (select * from device_leaf where conversation = p_conversation offset 0) d
    where user_id = any (p_users));
end $$;
