-- Deletes a device of a user; false when there is none. Its unused key packages stay as replaced until they expire, so that a
-- Welcome for one of them is refused with the reason.
create or replace function forget_device(p_user text, p_device text) returns boolean
language plpgsql as $$
declare
  v_conversations bigint[];
  v_seqs bigint[];
begin
  perform from device where user_id = p_user and device_id = p_device for update;
  if not found then return false; end if;
  perform replace_key_packages(p_user, p_device, '{}');
  delete from device_position where user_id = p_user and device_id = p_device;
  delete from stream_ticket where user_id = p_user and device_id = p_device;
  with gone as (
    delete from welcome where user_id = p_user and device_id = p_device returning conversation, seq
  ) select array_agg(conversation), array_agg(seq) into v_conversations, v_seqs from gone;
  perform drop_welcome_bodies(v_conversations, v_seqs);
  perform forget_push(p_user, p_device);
  delete from device where user_id = p_user and device_id = p_device;
  return true;
end $$;

-- Deletes everything that belongs to a user and to no conversation; returns its devices. A device that came meanwhile stays, with
-- its key packages: call this again until it returns none. Only the refs of key packages stay, until they expire: a package never
-- comes back, and a Welcome for one is refused with the reason. What others answered it stays theirs: who was refused cannot ask again
-- by being erased, and what it invited of late counts for a day.
create or replace function erase_user(p_user text) returns text[]
language plpgsql as $$
declare
  v_devices text[];
  v_refs bytea[];
  v_conversations bigint[];
  v_seqs bigint[];
begin
  -- Locks in the order of claims and of commits: devices, then packages by ref.
  v_devices := array(select device_id from device where user_id = p_user order by device_id for update);
  v_refs := array(
    select k.ref from key_package k
    where k.user_id = p_user and (k.device_id = any (v_devices)
      or (select true from device d where d.user_id = p_user and d.device_id = k.device_id limit 1) is null)
    order by k.ref for no key update);
  update key_package set user_id = '', device_id = '', key_package = '', replaced_at = coalesce(replaced_at, clock_timestamp())
    where ref = any (v_refs);
  delete from public_key where user_id = p_user;
  -- A claim that somebody else has locked is being deleted there.
  delete from claim where (operation, ref) in (
    select operation, ref from claim where user_id = p_user for update skip locked);
  delete from group_claim where operation in (
    select operation from group_claim where user_id = p_user for update skip locked);
  delete from device_position where user_id = p_user and device_id = any (v_devices);
  delete from stream_ticket where user_id = p_user;
  with gone as (delete from welcome where user_id = p_user returning conversation, seq)
    select array_agg(conversation), array_agg(seq) into v_conversations, v_seqs from gone;
  perform drop_welcome_bodies(v_conversations, v_seqs);
  delete from device where user_id = p_user and device_id = any (v_devices);
  -- Rows that a running decision has locked are left to that decision.
  delete from race where user_id = p_user
    and conversation = any (array(select conversation from race where user_id = p_user for update skip locked));
  delete from staged where key = any (array(select key from staged where user_id = p_user for update skip locked));
  perform forget_push(p_user, null);
  delete from consent where user_id = p_user;
  delete from consent_request where user_id = p_user or (asker = p_user and state <> 'refused');
  delete from invitation where user_id = p_user;
  return v_devices;
end $$;
