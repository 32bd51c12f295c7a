-- Where the wake-ups of devices go.

-- Stores the target of a device, in place of the one before. Of one user each endpoint stands once, because an app that was installed
-- again is another device on the same phone. The oldest targets make room.
create or replace function register_push_target(p_user text, p_device text, p_kind text, p_endpoint text, p_p256dh text, p_auth text,
                                                p_app text) returns timestamptz
language plpgsql as $$
declare
  v_at timestamptz;
begin
  -- All of the user at once, in the order in which everybody locks them: registrations of two devices take turns.
  perform from push_target where user_id = p_user order by key for update;
  delete from push_target where user_id = p_user and device_id <> p_device and kind = p_kind and endpoint = p_endpoint;
  insert into push_target (user_id, device_id, kind, endpoint, p256dh, auth, app, stream_id)
    values (p_user, p_device, p_kind, p_endpoint, p_p256dh, p_auth, p_app,
            (select stream_id from device where user_id = p_user and device_id = p_device))
    on conflict (user_id, device_id) do update set kind = excluded.kind, endpoint = excluded.endpoint, p256dh = excluded.p256dh,
      auth = excluded.auth, app = excluded.app, registered_at = clock_timestamp(),
      -- Its device is awake, and what waits to be sent is for the endpoint before.
      woken = false, due_at = null, attempts = 0,
      check_at = case when push_target.woken then clock_timestamp() + push_hold() else push_target.check_at end
    returning registered_at into v_at;
  delete from push_target where key = any (array(
    select key from push_target where user_id = p_user order by registered_at desc, key desc offset max_push_targets()));
  return v_at;
end $$;

-- Forgets what belongs to one device, or with a null device to all devices of a user.
create or replace function forget_push(p_user text, p_device text) returns void
language sql volatile as $$
  delete from push_target where key = any (array(
    select key from push_target where user_id = p_user and (p_device is null or device_id = p_device) order by key for update));
  delete from push_mute where user_id = p_user and (p_device is null or device_id = p_device)
$$;
