-- Which devices are woken, and when (docs/explanation/wake-ups.md). All of this runs beside the decisions: it waits for no lock of a
-- conversation.

-- Called by a decision whose entries may wake devices: from now on the conversation is looked at. An existing cursor stays as it is,
-- and is not touched: an insert with a conflict would wait for a look at this conversation and others. Cursors come and go under the
-- lock of their conversation only.
create or replace function begin_push(c conversation, p_before bigint) returns void
language sql volatile as $$
  insert into push_cursor (conversation, pushed_seq, held_seq)
    select c.key, p_before, p_before
    where (select true from push_cursor where conversation = c.key limit 1) is null and (select true from push_target limit 1)
$$;

-- Looks at conversations with new entries, and wakes devices for them.
create or replace function push_look(p_limit int, out targets push_target[], out acknowledged bigint, out muted bigint)
language plpgsql as $$
declare
  p push_cursor;
  c conversation;
  r record;
  v_started timestamptz;
  v_now timestamptz;
  v_looked boolean;
  v_woken int;
begin
  targets := '{}';
  acknowledged := 0;
  muted := 0;
  for p in select * from push_cursor where next_at <= clock_timestamp() order by next_at limit p_limit for update skip locked loop
    v_started := clock_timestamp();
    v_woken := cardinality(targets);
    select * into c from conversation where key = p.conversation;
    if p.held_until <= v_started then
      r := push_wake(c, p.held_seq, p.held_until - push_hold());
      targets := targets || r.targets;
      acknowledged := acknowledged + r.acknowledged;
      if r.skipped = 0 then p.held_until := null; end if;
    end if;
    v_looked := c.push_seq > p.pushed_seq;
    if v_looked then
      r := push_wake(c, c.push_seq, null);
      targets := targets || r.targets;
      muted := muted + r.muted;
      if r.skipped = 0 then p.pushed_seq := c.push_seq; end if;
    end if;
    v_now := clock_timestamp();
    if p.held_until is null and p.held_seq < p.pushed_seq then
      p.held_seq := p.pushed_seq;
      p.held_until := v_now + push_hold();
    end if;
    -- While nobody is to be woken, a busy conversation is looked at less often. And looking at one with many members takes a small
    -- share of the time at most.
    p.pause := case when v_looked and cardinality(targets) = v_woken then least(greatest(2 * p.pause, push_pause()), push_hold())
                    else push_pause() end;
    update push_cursor set pushed_seq = p.pushed_seq, held_seq = p.held_seq, held_until = p.held_until, pause = p.pause,
        next_at = v_now + greatest(p.pause, (v_now - v_started) * push_rest())
      where conversation = p.conversation;
  end loop;
end $$;

-- Wakes the devices that are behind entry p_seq. p_since: null = those without an open stream. Else also those with one, which had time
-- to acknowledge the entry since then; a device that was woken since then has been woken for this entry too.
-- Returns how many were not woken, and why. skipped: devices that must be looked at again.
create or replace function push_wake(c conversation, p_seq bigint, p_since timestamptz,
                                     out targets push_target[], out acknowledged bigint, out muted bigint, out skipped bigint)
language sql volatile as $$
  with candidate as materialized (
    select t.key, c.push_high_seq > m.read_seq as high, coalesce(d.seq >= p_seq, false) as acknowledged,
      (select true from push_mute x where x.user_id = t.user_id and x.device_id = t.device_id and x.conversation = c.key limit 1)
        is not null as muted
    from member m
    -- `offset 0`: look-ups by key, whatever the tables' sizes.
    cross join lateral (
      select key, user_id, device_id from push_target
      where user_id = m.user_id and not woken and (woken_at < p_since or p_since is null and stream_id is null)
        and (check_at is null or paced_at <= clock_timestamp() + push_burst()) offset 0) t
    left join lateral (
      select seq from device_position
      where user_id = t.user_id and device_id = t.device_id and conversation = c.key limit 1) d on true
    where m.conversation = c.key and m.left_seq is null and m.read_seq < p_seq and c.deleted_at is null
  ), wanted as materialized (
    select key, high from candidate x where not x.acknowledged and not x.muted order by key limit max_push_batch()
  ), marked as materialized (
    select k as target, k.woken
    from push_mark(array(select key from wanted order by key), array(select high from wanted order by key), c.key, p_seq) k
  )
  select
    array(select x.target from marked x where x.woken),
    (select count(*) from candidate x where x.acknowledged),
    (select count(*) from candidate x where x.muted),
    (select count(*) from candidate x where not x.acknowledged and not x.muted) - (select count(*) from marked)
$$;

-- Marks devices as woken for an entry; their wake-ups are to be sent from now on. Returns those that were marked, and, with woken =
-- false, those that were woken too often of late: they are looked at when their time has come. Rows that somebody else has locked are
-- left out.
create or replace function push_mark(p_keys bigint[], p_highs boolean[], p_conversation bigint, p_seq bigint) returns setof push_target
language sql volatile as $$
  with free as materialized (
    select key, paced_at <= clock_timestamp() + push_burst() as allowed from push_target
    where key = any (p_keys) and not woken order by key for update skip locked
  ), paced as (
    update push_target t set check_at = greatest(t.paced_at - push_burst(), clock_timestamp() + push_hold())
    from free f where t.key = f.key and not f.allowed returning t.*
  ), marked as (
    update push_target t set woken = true, woken_at = clock_timestamp(), wake_id = gen_random_uuid(),
        wake_conversation = p_conversation, wake_seq = p_seq, wake_high = w.high,
        paced_at = greatest(t.paced_at, clock_timestamp()) + push_interval(),
        check_at = null, due_at = clock_timestamp() + push_lease(), attempts = 0
    from free f join unnest(p_keys, p_highs) w (key, high) on w.key = f.key
    where t.key = f.key and f.allowed returning t.*
  )
  select * from marked union all select * from paced
$$;

-- Looks at all conversations of devices that acknowledged: entries that came while such a device was woken have woken nobody. Those
-- of the last moments are left to their conversations.
create or replace function push_check(p_limit int) returns setof push_target
language plpgsql as $$
declare
  t push_target;
  f record;
begin
  for t in select * from push_target where check_at <= clock_timestamp() order by check_at limit p_limit for update skip locked loop
    update push_target set check_at = null where key = t.key;
    select c.key, c.push_seq, c.push_high_seq > m.read_seq as high into f
      from member m
      cross join lateral (select * from conversation where key = m.conversation limit 1) c
      left join lateral (
        select seq from device_position
        where user_id = t.user_id and device_id = t.device_id and conversation = c.key limit 1) d on true
      where m.user_id = t.user_id and m.left_seq is null and m.read_seq < c.push_seq and c.deleted_at is null
        and c.push_at > t.woken_at - push_hold() and c.push_at <= clock_timestamp() - push_hold()
        and (c.key is distinct from t.wake_conversation or c.push_seq > t.wake_seq)
        and coalesce(d.seq, 0) < c.push_seq
        and (select true from push_mute where user_id = t.user_id and device_id = t.device_id and conversation = c.key limit 1) is null
      limit 1;
    if found then
      return query select k.* from push_mark(array[t.key], array[f.high], f.key, f.push_seq) k where k.woken;
    end if;
  end loop;
end $$;

-- Forgets the cursors of conversations that are quiet. Under the locks of the conversations, which are not waited for: no decision
-- can rely on a cursor that goes in the same moment.
create or replace function push_settle(p_limit int) returns void
language plpgsql as $$
declare
  v_quiet bigint[];
begin
  v_quiet := array(
    select p.conversation from push_cursor p
    cross join lateral (select push_seq, push_at, deleted_at from conversation where key = p.conversation limit 1) c
    where p.held_until is null and p.held_seq = p.pushed_seq
      and (c.push_seq = p.pushed_seq and c.push_at < clock_timestamp() - 2 * push_hold() or c.deleted_at is not null)
    order by p.next_at limit p_limit for update of p skip locked);
  v_quiet := array(select key from conversation where key = any (v_quiet) for no key update skip locked);
  delete from push_cursor p
    where p.conversation = any (v_quiet)
      and (select push_seq = p.pushed_seq or deleted_at is not null from conversation where key = p.conversation limit 1);
end $$;
