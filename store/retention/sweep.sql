-- Looks at the next p_limit devices after a name. Deletes those that were not seen since p_before and have nothing: no key package
-- that a claim may take, no Welcome, no position. Returns the name after which the next call continues; null = the end.
create or replace function sweep_devices(p_user text, p_device text, p_before timestamptz, p_limit int,
                              out user_id text, out device_id text, out deleted int)
language plpgsql as $$
#variable_conflict use_column
declare
  v_rows tid[];
  v_users text[];
  v_devices text[];
begin
  select array_agg(d.ctid) filter (where d.seen_at < p_before),
         array_agg(d.user_id order by d.user_id, d.device_id), array_agg(d.device_id order by d.user_id, d.device_id)
    into v_rows, v_users, v_devices
    from (select ctid, user_id, device_id, seen_at from device where (user_id, device_id) > (p_user, p_device)
          order by user_id, device_id limit p_limit) d;
  -- A device that is seen meanwhile stays: seen_at is checked again. Scalar look-ups, so that each is by key.
  delete from device d where d.ctid = any (v_rows) and d.seen_at < p_before
    and (select true from key_package k where k.user_id = d.user_id and k.device_id = d.device_id
           and k.claimed_at is null and k.replaced_at is null and not k.last_resort limit 1) is null
    and (select true from key_package k where k.user_id = d.user_id and k.device_id = d.device_id
           and k.last_resort and k.replaced_at is null limit 1) is null
    and (select true from welcome w where w.user_id = d.user_id and w.device_id = d.device_id limit 1) is null
    and (select true from device_position p where p.user_id = d.user_id and p.device_id = d.device_id limit 1) is null;
  get diagnostics deleted = row_count;
  if cardinality(v_users) = p_limit then
    user_id := v_users[p_limit];
    device_id := v_devices[p_limit];
  end if;
end $$;

-- The same for counts of commit contention (table `race`) that did not change since p_before. A row that changes meanwhile stays.
create or replace function sweep_races(p_conversation bigint, p_user text, p_before timestamptz, p_limit int,
                            out conversation bigint, out user_id text, out deleted int)
language plpgsql as $$
#variable_conflict use_column
declare
  v_rows tid[];
  v_conversations bigint[];
  v_users text[];
begin
  select array_agg(r.ctid) filter (where greatest(r.lost_at, r.won[1]) < p_before),
         array_agg(r.conversation order by r.conversation, r.user_id), array_agg(r.user_id order by r.conversation, r.user_id)
    into v_rows, v_conversations, v_users
    from (select ctid, conversation, user_id, lost_at, won from race where (conversation, user_id) > (p_conversation, p_user)
          order by conversation, user_id limit p_limit) r;
  -- A row that a decision has locked stays: it changes.
  delete from race where ctid = any (array(
    select ctid from race where ctid = any (v_rows) and greatest(lost_at, won[1]) < p_before for update skip locked));
  get diagnostics deleted = row_count;
  if cardinality(v_conversations) = p_limit then
    conversation := v_conversations[p_limit];
    user_id := v_users[p_limit];
  end if;
end $$;
