-- Looks at the next p_limit devices after a name. Deletes those that were not seen since p_before and have nothing: no key package
-- that a claim may take, no Welcome, no position. Returns the name after which the next call continues; null = the end.
create or replace function sweep_devices(p_user text, p_device text, p_before timestamptz, p_limit int,
                              out user_id text, out device_id text, out deleted int)
language plpgsql as $$
#variable_conflict use_column
declare
  -- the devices that this call looks at: their number, and the last one
  v_count bigint;
  v_user text;
  v_device text;
begin
  select d.n, d.user_id, d.device_id into v_count, v_user, v_device
    from (select row_number() over (order by user_id, device_id) as n, user_id, device_id from device
          where (user_id, device_id) > (p_user, p_device) order by user_id, device_id limit p_limit) d
    order by d.n desc limit 1;
  -- Scalar look-ups, so that each is by key.
  delete from device d where (d.user_id, d.device_id) > (p_user, p_device) and (d.user_id, d.device_id) <= (v_user, v_device)
    and d.seen_at < p_before
    and (select true from key_package k where k.user_id = d.user_id and k.device_id = d.device_id
           and k.claimed_at is null and k.replaced_at is null and not k.last_resort limit 1) is null
    and (select true from key_package k where k.user_id = d.user_id and k.device_id = d.device_id
           and k.last_resort and k.replaced_at is null limit 1) is null
    and (select true from welcome w where w.user_id = d.user_id and w.device_id = d.device_id limit 1) is null
    and (select true from device_position p where p.user_id = d.user_id and p.device_id = d.device_id limit 1) is null;
  get diagnostics deleted = row_count;
  if v_count = p_limit then
    user_id := v_user;
    device_id := v_device;
  end if;
end $$;

-- The same for counts of commit contention (table `race`) that did not change since p_before. A row that changes meanwhile stays.
create or replace function sweep_races(p_conversation bigint, p_user text, p_before timestamptz, p_limit int,
                            out conversation bigint, out user_id text, out deleted int)
language plpgsql as $$
#variable_conflict use_column
declare
  -- the rows that this call looks at: their number, and the last one
  v_count bigint;
  v_conversation bigint;
  v_user text;
  r record;
begin
  select x.n, x.conversation, x.user_id into v_count, v_conversation, v_user
    from (select row_number() over (order by conversation, user_id) as n, conversation, user_id from race
          where (conversation, user_id) > (p_conversation, p_user) order by conversation, user_id limit p_limit) x
    order by x.n desc limit 1;
  deleted := 0;
  -- A row that a decision has locked stays: it changes.
  for r in select conversation, user_id from race
           where (conversation, user_id) > (p_conversation, p_user) and (conversation, user_id) <= (v_conversation, v_user)
             and greatest(lost_at, won[1]) < p_before for update skip locked loop
    delete from race x where x.conversation = r.conversation and x.user_id = r.user_id;
    deleted := deleted + 1;
  end loop;
  if v_count = p_limit then
    conversation := v_conversation;
    user_id := v_user;
  end if;
end $$;
