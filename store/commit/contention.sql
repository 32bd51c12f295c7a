-- Fairness among committers (docs/explanation/ordering.md): two rules, neither of which holds for a commit that removes those
-- whom the rule protects.
-- Reservation: who lost three races within ten seconds gets the next 300 ms, in which others' commits wait in their queue, once,
-- and are then decided like any other. At most one per user and minute, one at a time in a conversation.
-- Restraint: while somebody loses, those who won five times within ten seconds leave gaps, which grow with each loss in a row
-- until the loser's commit fits into one. Their commits that come sooner are refused.

-- Counts a race that was lost.
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
  if r.losses >= 3
     and not exists (select from race where user_id = p_user and granted_at > v_now - interval '1 minute')
     and not exists (select from race where conversation = c.key and reserved_until > v_now) then
    update race set granted_at = v_now, reserved_until = v_now + interval '300 ms'
      where conversation = c.key and user_id = p_user;
  end if;
end $$;

-- Counts a commit that was accepted, and ends the losses of its sender.
create or replace function win_race(c conversation, p_user text) returns void
language plpgsql as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  insert into race as x (conversation, user_id, won) values (c.key, p_user, array[v_now])
    on conflict (conversation, user_id) do update
      set losses = 0, lost_at = null, reserved_until = null, won = v_now || x.won[:4];
end $$;

-- Milliseconds for which a user's commit is to wait for the reservation of another; null = not at all.
create or replace function commit_wait_ms(c conversation, p_user text, p_removes text[]) returns int
language sql volatile as $$
  select ceil(extract(epoch from max(reserved_until) - clock_timestamp()) * 1000)::int from race
    where conversation = c.key and user_id <> p_user and user_id <> all (p_removes) and reserved_until > clock_timestamp()
$$;

-- Milliseconds before which a user's commit is refused, for the sake of others who lose; null = at once. Those who win often
-- share one gap, so that many of them leave no less of it than one.
create or replace function commit_gap_ms(c conversation, p_user text, p_removes text[]) returns int
language plpgsql as $$
declare
  v_recently timestamptz := clock_timestamp() - interval '10 s';
  v_losses int;
  v_won_at timestamptz;
begin
  if not exists (select from race where conversation = c.key and user_id = p_user and won[5] > v_recently) then
    return null;
  end if;
  select max(losses) into v_losses from race
    where conversation = c.key and user_id <> p_user and user_id <> all (p_removes) and lost_at > v_recently;
  if v_losses is null then return null; end if;
  select max(won[1]) into v_won_at from race where conversation = c.key and won[5] > v_recently;
  -- Three in a row make the longest gap.
  return ceil(extract(epoch from v_won_at + least(interval '1 s' * 2 ^ least(v_losses, 3), interval '5 s')
                                 - clock_timestamp()) * 1000)::int;
end $$;
