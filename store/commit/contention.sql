-- Commit contention: fairness among members who commit at the same time (docs/explanation/ordering.md). There are two rules.
-- A commit that removes the protected member is exempt from both.
-- Reservation: a user who lost three commits within ten seconds gets the next 300 ms. Commits of others wait in their queue
-- for that time, once, and are then decided like any other. A user gets one reservation a minute at most, and a conversation
-- has one at a time.
-- Backoff: while somebody loses commits, users with five accepted commits within ten seconds make pauses. A pause grows with
-- each lost commit in a row, until the commit of the loser fits into it. A commit that comes sooner is refused.

-- Counts a lost commit. Losing to the own commit of another device is not a lost commit.
create or replace function record_lost_commit(c conversation, op jsonb) returns void
language plpgsql as $$
declare
  v_actor text := op ->> 'actor';
  v_now timestamptz := clock_timestamp();
  r race;
begin
  if v_actor = (select sender from entry where conversation = c.key and kind = 'commit' and epoch = (op ->> 'epoch')::bigint) then
    return;
  end if;
  insert into race as x (conversation, user_id, losses, lost_at) values (c.key, v_actor, 1, v_now)
    on conflict (conversation, user_id) do update
      set losses = case when x.lost_at > v_now - commit_contention() then x.losses + 1 else 1 end, lost_at = v_now
    returning * into r;
  if r.losses >= lost_commits_for_reservation()
     and not exists (select from race where user_id = v_actor and granted_at > v_now - reservation_pause())
     and not exists (select from race where conversation = c.key and reserved_until > v_now) then
    update race set granted_at = v_now, reserved_until = v_now + max_reservation()
      where conversation = c.key and user_id = v_actor;
  end if;
end $$;

-- Counts an accepted commit. It ends the lost commits in a row, and the reservation, of its sender.
create or replace function record_accepted_commit(p_conversation bigint, p_user text) returns void
language plpgsql as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  insert into race as x (conversation, user_id, won) values (p_conversation, p_user, array[v_now])
    on conflict (conversation, user_id) do update
      set losses = 0, lost_at = null, reserved_until = null, won = v_now || x.won[:accepted_commits_for_backoff() - 1];
end $$;

-- Null when a user's commit need not wait for the reservation of another user. forMs: how long it waits.
create or replace function reservation_refusal(p_conversation bigint, p_user text, p_removes text[]) returns jsonb
language plpgsql as $$
declare
  v_ms int;
begin
  select ceil(extract(epoch from max(reserved_until) - clock_timestamp()) * 1000)::int into v_ms from race
    where conversation = p_conversation and user_id <> p_user and user_id <> all (p_removes)
      and reserved_until > clock_timestamp();
  return case when v_ms > 0 then refusal('deferred', jsonb_build_object('forMs', v_ms)) end;
end $$;

-- Null when a user's commit may come at once, else it is refused in favour of those who lose. forMs: when it may come. All users
-- with many accepted commits share one pause, so that many of them leave as much time as one.
create or replace function commit_backoff_refusal(p_conversation bigint, p_user text, p_removes text[]) returns jsonb
language plpgsql as $$
declare
  v_recently timestamptz := clock_timestamp() - commit_contention();
  v_losses int;
  v_accepted_at timestamptz;
  v_ms int;
begin
  if not exists (select from race where conversation = p_conversation and user_id = p_user and won[accepted_commits_for_backoff()] > v_recently) then
    return null;
  end if;
  select max(losses) into v_losses from race
    where conversation = p_conversation and user_id <> p_user and user_id <> all (p_removes) and lost_at > v_recently;
  if v_losses is null then return null; end if;
  select max(won[1]) into v_accepted_at from race where conversation = p_conversation and won[accepted_commits_for_backoff()] > v_recently;
  -- Three lost commits in a row make the longest pause.
  v_ms := ceil(extract(epoch from v_accepted_at + least(commit_backoff() * 2 ^ least(v_losses, 3), max_commit_backoff())
                                  - clock_timestamp()) * 1000)::int;
  return case when v_ms > 0 then refusal('rate-limited', jsonb_build_object('forMs', v_ms)) end;
end $$;
