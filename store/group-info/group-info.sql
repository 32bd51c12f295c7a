-- A GroupInfo for the current epoch from a member, admitted: the first one stays, so that everybody reads the same.
create or replace function decide_group_info(inout c conversation, op jsonb, p_group_info bytea, out result jsonb)
language plpgsql as $$
begin
  if exists (select from group_info where conversation = c.key and epoch = c.epoch) then
    result := jsonb_build_object('status', 'duplicate', 'epoch', c.epoch);
    return;
  end if;
  if op ? 'leaves' then
    result := ratchet_tree_refusal(c, json_texts(op -> 'leaves'), '{}', '{}');
    if result is not null then return; end if;
  end if;
  perform store_group_info(c, p_group_info);
  result := jsonb_build_object('status', 'accepted', 'epoch', c.epoch);
end $$;

-- Step 10 of admit().
create or replace function group_info_epoch_refusal(c conversation, p_epoch bigint) returns jsonb
language sql immutable as $$
  select case when p_epoch is distinct from c.epoch then
    epoch_refusal(case when p_epoch > c.epoch then 'epoch-ahead' else 'group-info-stale' end, c.epoch, p_epoch) end
$$;

-- Stores the GroupInfo of the current epoch in place of an earlier one.
create or replace function store_group_info(c conversation, p_group_info bytea) returns void
language sql volatile as $$
  insert into group_info (conversation, epoch, group_info) values (c.key, c.epoch, p_group_info)
    on conflict (conversation) do update set epoch = excluded.epoch, group_info = excluded.group_info
$$;
