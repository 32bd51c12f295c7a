-- Off-boardings: who is removed from everywhere, and how far the work has come.

-- Begins an off-boarding; the one that stands already is repeated. From the end of this transaction on the user is cut off.
create or replace function begin_off_boarding(p_user text, p_device text, p_reason text, p_actor text) returns bigint
language plpgsql as $$
declare
  v_id bigint;
begin
  insert into off_boarding (user_id, device_id, reason, started_by, total)
    values (p_user, p_device, p_reason, p_actor,
            case when p_device = '' then (select count(*) from member where user_id = p_user and (left_seq is null or leaving))
            else (select count(distinct conversation) from device_leaf where user_id = p_user and device_id = p_device) end)
    on conflict (user_id, device_id) where ended_at is null do update
      -- The device may have logged in again since: it begins anew.
      set started_at = excluded.started_at, changed_at = excluded.changed_at, reason = excluded.reason,
          started_by = excluded.started_by, position = 0, worked_at = null, done_at = null
      where excluded.device_id <> ''
    returning id into v_id;
  if v_id is null then
    return (select id from off_boarding where user_id = p_user and device_id = p_device and ended_at is null);
  end if;
  perform retire_devices(p_user, p_device);
  delete from stream_ticket where user_id = p_user and (p_device = '' or device_id = p_device);
  perform forget_push(p_user, nullif(p_device, ''));
  -- What users do to their own devices is no act of an operator.
  if p_actor <> p_user then
    insert into audit (actor, action, details) values (p_actor, 'off-boarding',
      jsonb_strip_nulls(jsonb_build_object('user', p_user, 'device', nullif(p_device, ''), 'reason', p_reason)));
  end if;
  return v_id;
end $$;

-- A user removes a device of its own: it is cut off and forgotten at once, so that nothing it sends in between records it again, and no
-- crash leaves a device that is forgotten and may go on. Null = there is no such device.
create or replace function remove_own_device(p_user text, p_device text) returns bigint
language plpgsql as $$
declare
  v_id bigint;
begin
  if not exists (select from device where user_id = p_user and device_id = p_device) then return null; end if;
  v_id := begin_off_boarding(p_user, p_device, 'device-removed', p_user);
  perform forget_device(p_user, p_device);
  return v_id;
end $$;

-- Nobody can claim key packages of these devices any more.
create or replace function retire_devices(p_user text, p_device text) returns void
language plpgsql as $$
declare
  v_devices text[];
begin
  -- Locks in the order of claims and of commits: devices, then packages by ref.
  v_devices := array(
    select device_id from device where user_id = p_user and (p_device = '' or device_id = p_device) order by device_id for update);
  update key_package set replaced_at = clock_timestamp() where ref = any (array(
    select ref from key_package
    where user_id = p_user and device_id = any (v_devices) and used_at is null and replaced_at is null
    order by ref for no key update));
end $$;

-- Undoes an off-boarding that stands; its id, or null. What it did to conversations is undone afterwards.
create or replace function end_off_boarding(p_user text, p_device text, p_actor text) returns bigint
language plpgsql as $$
declare
  v_id bigint;
begin
  update off_boarding set ended_at = clock_timestamp(), changed_at = clock_timestamp(), done_at = null, worked_at = null, position = 0
    where user_id = p_user and device_id = p_device and ended_at is null returning id into v_id;
  if v_id is not null then
    insert into audit (actor, action, details) values (p_actor, 'off-boarding-undone',
      jsonb_strip_nulls(jsonb_build_object('user', p_user, 'device', nullif(p_device, ''))));
  end if;
  return v_id;
end $$;

-- The next conversations of an off-boarding in the order of their keys: those of the user, or, when it was undone, those that it changed.
create or replace function off_boarding_page(p_off_boarding bigint, p_limit int) returns table (key bigint, id text)
language plpgsql stable as $$
declare
  o off_boarding;
begin
  select * into o from off_boarding where off_boarding.id = p_off_boarding;
  if o.ended_at is not null then
    return query select c.key, c.id from removal r cross join lateral (
        select x.key, x.id from conversation x where x.key = r.conversation limit 1) c
      where r.off_boarding = o.id and r.conversation > o.position order by r.conversation limit p_limit;
  elsif o.device_id <> '' then
    return query select c.key, c.id from (
        select distinct d.conversation from device_leaf d
        where d.user_id = o.user_id and d.device_id = o.device_id and d.conversation > o.position order by 1 limit p_limit) l
      cross join lateral (select x.key, x.id from conversation x where x.key = l.conversation limit 1) c order by c.key;
  else
    return query select c.key, c.id from member m cross join lateral (
        select x.key, x.id from conversation x where x.key = m.conversation limit 1) c
      where m.user_id = o.user_id and m.conversation > o.position and (m.left_seq is null or m.leaving)
      order by m.conversation limit p_limit;
  end if;
end $$;
