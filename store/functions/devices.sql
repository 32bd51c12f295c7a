-- Forgets a device of a user; false when there is none. Its unused key packages stay as replaced until they expire, so
-- that whoever invites with one of them is told so.
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
  with gone as (
    delete from welcome where user_id = p_user and device_id = p_device returning conversation, seq
  ) select array_agg(conversation), array_agg(seq) into v_conversations, v_seqs from gone;
  perform drop_welcome_bodies(v_conversations, v_seqs);
  delete from device where user_id = p_user and device_id = p_device;
  return true;
end $$;

-- Forgets all that belongs to a user and to no conversation; returns its devices.
create or replace function erase_user(p_user text) returns text[]
language plpgsql as $$
declare
  v_devices text[];
  v_conversations bigint[];
  v_seqs bigint[];
begin
  v_devices := array(select device_id from device where user_id = p_user order by device_id for update);
  -- Commits lock what they use in this order.
  perform from key_package where user_id = p_user order by ref for update;
  delete from key_package where user_id = p_user;
  delete from claim where user_id = p_user;
  delete from device_position where user_id = p_user;
  with gone as (delete from welcome where user_id = p_user returning conversation, seq)
    select array_agg(conversation), array_agg(seq) into v_conversations, v_seqs from gone;
  perform drop_welcome_bodies(v_conversations, v_seqs);
  delete from device where user_id = p_user;
  -- What a decision is at work on is left to it.
  delete from race where ctid = any (array(select ctid from race where user_id = p_user for update skip locked));
  delete from staged where key = any (array(select key from staged where user_id = p_user for update skip locked));
  return v_devices;
end $$;
