-- Fairness among committers (docs/explanation/ordering.md). Two rules have commits wait in their queue; nobody is refused for
-- them, a commit waits once, for at most 300 ms, and is then decided like any other.
-- Reservation: who lost three races within ten seconds gets the next 300 ms, in which others' commits wait. At most one per
-- user and minute, one at a time in a conversation. A commit that removes the holder does not wait.
-- Restraint: the commits of one who won ten within ten seconds wait while somebody else has lost a race in that time, so
-- that a flood leaves a gap in which its removal wins. A commit that removes all who lost does not wait.

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

-- Counts a commit that was accepted, and ends the losses of its sender.
create or replace function win_race(c conversation, p_user text) returns void
language plpgsql as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  insert into race as x (conversation, user_id, wins, won_since) values (c.key, p_user, 1, v_now)
    on conflict (conversation, user_id) do update
      set losses = 0, lost_at = null, reserved_until = null,
          wins = case when x.won_since > v_now - interval '10 s' then x.wins + 1 else 1 end,
          won_since = case when x.won_since > v_now - interval '10 s' then x.won_since else v_now end;
end $$;

-- Milliseconds for which a user's commit is to wait for others; null = not at all.
create or replace function commit_wait_ms(c conversation, p_user text, p_removes text[]) returns int
language plpgsql as $$
declare
  v_now timestamptz := clock_timestamp();
  v_until timestamptz;
begin
  select max(reserved_until) into v_until from race
    where conversation = c.key and user_id <> p_user and user_id <> all (p_removes) and reserved_until > v_now;
  if exists (select from race where conversation = c.key and user_id = p_user and wins >= 10
               and won_since > v_now - interval '10 s')
     and exists (select from race where conversation = c.key and user_id <> p_user and user_id <> all (p_removes)
                   and lost_at > v_now - interval '10 s') then
    v_until := v_now + interval '300 ms';
  end if;
  return ceil(extract(epoch from v_until - v_now) * 1000)::int;
end $$;
