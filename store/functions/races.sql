-- Fairness among committers (docs/explanation/ordering.md). Who lost three races within ten seconds gets the next 300 ms:
-- others' commits wait in their queue for so long, and are then decided like any other. Nobody is refused for it, nobody
-- waits twice for one commit, and a commit that removes the holder does not wait. At most one reservation per user and
-- minute, and one at a time in a conversation.

-- Counts a lost race.
create or replace function lose_race(c conversation, p_user text) returns void
language plpgsql as $$
declare
  v_now timestamptz := clock_timestamp();
  r race;
begin
  insert into race as x (conversation, user_id, losses, lost_at) values (c.key, p_user, 1, v_now)
    on conflict (conversation, user_id) do update
      set losses = case when x.lost_at > v_now - interval '10 s' then x.losses + 1 else 1 end, lost_at = v_now
    returning * into r;
  if r.losses >= 3 and coalesce(r.granted_at < v_now - interval '1 minute', true)
     and not exists (select from race where conversation = c.key and reserved_until > v_now) then
    update race set losses = 0, granted_at = v_now, reserved_until = v_now + interval '300 ms'
      where conversation = c.key and user_id = p_user;
  end if;
end $$;

-- Ends the series of a user whose commit was accepted.
create or replace function win_race(c conversation, p_user text) returns void
language sql volatile as $$
  update race set losses = 0, reserved_until = null where conversation = c.key and user_id = p_user
$$;

-- Milliseconds for which a user's commit is to wait for somebody else's reservation; null = not at all.
create or replace function reservation_ms(c conversation, p_user text, p_removes text[]) returns int
language sql volatile as $$
  select ceil(extract(epoch from max(reserved_until) - clock_timestamp()) * 1000)::int from race
  where conversation = c.key and user_id <> p_user and user_id <> all (p_removes) and reserved_until > clock_timestamp()
$$;
