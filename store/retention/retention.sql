-- Retention (docs/explanation/retention.md). The first statement of each function takes the row lock of the conversation, and waits
-- for it for a short time only. p_now is the clock of the workflow. Each call does a bounded piece of work and says when to call
-- again.

-- The first entry from p_from to before p_to that is younger than p_time; p_to when there is none. Seqs are dense and times
-- never run backwards in a log, so the look-up halves the range: a few rows, however long the log is.
create or replace function first_younger(p_conversation bigint, p_from bigint, p_to bigint, p_time timestamptz)
returns bigint language plpgsql stable as $$
declare
  v_from bigint := p_from;
  v_to bigint := greatest(p_from, p_to);
  v_middle bigint;
begin
  while v_from < v_to loop
    v_middle := (v_from + v_to) / 2;
    if (select at from entry where conversation = p_conversation and seq = v_middle) <= p_time then
      v_from := v_middle + 1;
    else
      v_to := v_middle;
    end if;
  end loop;
  return v_from;
end $$;

-- The first entry that somebody still needs: an active device of a current member, or a device that takes up a Welcome; null =
-- nobody needs one. A device needs the entries after its acknowledged position, or without a position all from the joining entry
-- of its member on. A device is active when it was seen within device_activity(). A member without an active device holds nothing
-- back, else one lost phone would keep a log for ever.
-- `offset 0` and `limit 1` keep the look-ups by key, in this order: members, their devices, the position of each.
create or replace function needed_seq(p_conversation bigint, p_now timestamptz) returns bigint
language sql stable as $$
  select least(min(coalesce(p.seq + 1, m.joined_seq)), (
    -- The device of a Welcome needs the log after its commit, whether or not the device was seen.
    select seq + 1 from welcome_body where conversation = p_conversation order by seq limit 1))
  from (select user_id, joined_seq from member where conversation = p_conversation and left_seq is null offset 0) m
  cross join lateral (
    select user_id, device_id from device where user_id = m.user_id and seen_at > p_now - device_activity() offset 0) d
  left join lateral (
    select seq from device_position
    where user_id = d.user_id and device_id = d.device_id and conversation = p_conversation limit 1) p on true
$$;

-- One step of the conversation's timer. At most p_limit entries lose their bodies and at most p_limit are deleted, so the step holds
-- the lock for a short time.
--
-- Bodies: application entries older than policy.retentionDays lose their bytes. The row stays, so readers see what was there.
-- Oldest kept entry: entries before it are deleted. An entry of any kind may be deleted when it is older than retentionDays, and
-- either no active device needs it, or it is older than policy.commitRetentionDays (without that: commit_retention_factor() times
-- retentionDays). A device that has not processed a commit cannot follow the group past it, so commits wait for devices; but not
-- for ever, and not for devices that are gone. Without retentionDays nothing is ever deleted.
-- oldest_seq and oldest_count change in the same transaction. last_seq, app_count, epochs and read positions do not change, so seq
-- is never reused. What lost its body counts as read (expired_count), so unread counts stay exact (invariants 1 and 7).
-- Expired Welcomes are deleted. Each leaves a change `welcome-expired`, by which the group learns that the device never came. Their
-- bytes are deleted with the last of them. Where many expire at once there is one change with their number, so that nobody who sent
-- thousands of Welcomes makes thousands of events.
-- A conversation that everybody left is deleted once its time is over; the next call finds it deleted.
--
-- Returns null when there is no such conversation (any more), else {changed}: whether streams have something new to look for.
create or replace function retain(p_id text, p_now timestamptz, p_limit int) returns jsonb
language plpgsql as $$
declare
  c conversation;
  v_keep interval;
  v_keep_at_most interval;
  -- all exclusive: where this step ends, where the entries older than retentionDays end, and where those end that are deleted even
  -- when a device needs them
  v_end bigint;
  v_old bigint;
  v_forced bigint;
  v_seqs bigint[];
  -- the last change that this step deletes; null = all of them
  v_last_seq bigint;
  v_last_key bigint;
  v_count bigint;
  v_more boolean := false;
  v_due timestamptz;
begin
  perform expect_lock(p_id);
  select * into c from conversation where id = p_id;
  if not found or c.deleted_at is not null then return null; end if;
  if abandoned_until(c) <= p_now then
    c.deleted_at := clock_timestamp();
    update conversation set deleted_at = c.deleted_at, due_at = c.deleted_at where key = c.key;
    return '{"changed": true}';
  end if;

  with expired as (
    delete from welcome where id = any (array(
      select id from welcome where conversation = c.key and expires_at <= p_now order by expires_at limit p_limit))
    returning seq, user_id, device_id
  ), recorded as (
    insert into change (conversation, seq, kind, data)
    select c.key, c.last_seq, 'welcome-expired', data from (
      select jsonb_build_object('user', user_id, 'device', device_id) as data
        from expired where (select count(*) from expired) <= max_member_events()
      union all
      select jsonb_build_object('count', count(*)) from expired having count(*) > max_member_events()) d
    order by data
  )
  select array_agg(distinct seq) into v_seqs from expired;
  if v_seqs is not null then
    perform drop_welcome_bodies(c.key, v_seqs);
  end if;
  select least(min(expires_at), abandoned_until(c)) into v_due from welcome where conversation = c.key;

  v_keep := make_interval(days => (c.policy ->> 'retentionDays')::int);
  if v_keep is not null then
    v_keep_at_most := coalesce(make_interval(days => (c.policy ->> 'commitRetentionDays')::int), commit_retention_factor() * v_keep);
    v_end := least(c.oldest_seq + p_limit, c.last_seq + 1);
    v_old := first_younger(c.key, c.oldest_seq, v_end, p_now - v_keep);
    v_forced := first_younger(c.key, c.oldest_seq, v_old, p_now - v_keep_at_most);
    if v_forced < v_old then
      v_old := greatest(v_forced, least(v_old, coalesce(needed_seq(c.key, p_now), v_old)));
    end if;
    if v_old > c.oldest_seq then
      c.oldest_chain := chain_at(c, v_old - 1);
      select app_count into c.oldest_count from entry where conversation = c.key and seq = v_old - 1;
      delete from entry where conversation = c.key and seq >= c.oldest_seq and seq < v_old;
      c.oldest_seq := v_old;
      c.expired_seq := greatest(c.expired_seq, v_old - 1);
      v_more := v_old = v_end and v_end <= c.last_seq;
    end if;
    -- Changes between deleted entries: streams start at the entry before the oldest kept one at the earliest.
    select seq, key into v_last_seq, v_last_key from change where conversation = c.key and seq < c.oldest_seq - 1
      order by seq, key offset p_limit - 1 limit 1;
    delete from change where conversation = c.key and seq < c.oldest_seq - 1
      and (seq, key) <= (coalesce(v_last_seq, c.oldest_seq), coalesce(v_last_key, 0));
    get diagnostics v_count = row_count;
    v_more := v_more or v_count = p_limit;

    v_end := least(c.expired_seq + 1 + p_limit, c.last_seq + 1);
    v_old := first_younger(c.key, c.expired_seq + 1, v_end, p_now - v_keep);
    update entry set ciphertext = null
      where conversation = c.key and seq > c.expired_seq and seq < v_old and kind = 'application';
    c.expired_seq := v_old - 1;
    c.expired_count := coalesce((select app_count from entry where conversation = c.key and seq = c.expired_seq), c.oldest_count);
    v_more := v_more or (v_old = v_end and v_end <= c.last_seq);

    -- Due for the next body, and for the oldest kept entry. That one waits for its age, or for devices. Devices do not announce their
    -- progress, so the timer looks again every day until the entry is too old to wait.
    v_due := least(v_due,
      (select at + v_keep from entry where conversation = c.key and seq = c.expired_seq + 1),
      (select case when at + v_keep > p_now then at + v_keep else least(at + v_keep_at_most, p_now + interval '1 day') end
       from entry where conversation = c.key and seq = c.oldest_seq));
  end if;

  -- Once a minute, not for each entry: a busy conversation has many.
  c.due_at := case when v_more then p_now when v_due is not null then greatest(v_due, p_now + interval '1 minute') end;
  update conversation set due_at = c.due_at, expired_seq = c.expired_seq, expired_count = c.expired_count, oldest_seq = c.oldest_seq,
      oldest_count = c.oldest_count, oldest_chain = c.oldest_chain,
      changed_xid = case when oldest_seq = c.oldest_seq and expired_count = c.expired_count then changed_xid
        else pg_current_xact_id() end
    where key = c.key;
  return jsonb_build_object('changed', v_seqs is not null);
end $$;

-- Removes the rows of a deleted conversation, in pieces; true when all are gone. The tombstone (its row in `conversation`) stays.
-- A piece is the rows up to the key of its last one, in the order of an index that begins with the conversation.
create or replace function purge_deleted(p_id text, p_limit int) returns boolean
-- Else the order could come from a sort of all rows of the conversation.
language plpgsql set enable_sort = off as $$
declare
  c conversation;
  t record;
  v_rows text;
  v_count bigint;
begin
  perform expect_lock(p_id);
  select * into c from conversation where id = p_id;
  if not found or c.deleted_at is null then return true; end if;
  for t in values ('entry', 'seq'), ('staged', 'at, key'), ('pending_increment', 'id'), ('welcome', 'user_id, device_id'),
                  ('welcome_body', 'seq'), ('group_info', 'epoch'), ('computed_tree', 'group_info'), ('change', 'seq, key'),
                  ('report', 'user_id'), ('race', 'user_id'), ('device_position', 'user_id, device_id'), ('proof', 'user_id'),
                  ('bar', 'user_id'), ('join_request', 'user_id'), ('device_leaf', 'leaf'), ('pending_removal', 'user_id, leaf, reason'), ('operation', 'id'), ('period', 'user_id, from_seq'), ('removal', 'user_id, device_id'), ('member', 'user_id') loop
    -- The answer of the deletion stays for its retries, until the sweep deletes it for its age.
    v_rows := format('from %I where conversation = $1 %s', t.column1,
                     case when t.column1 = 'operation' then 'and kind <> ''delete''' else '' end);
    execute format('delete %1$s and (%2$s) <= (select %2$s %1$s order by %2$s offset $2 - 1 limit 1)', v_rows, t.column2)
      using c.key, p_limit;
    get diagnostics v_count = row_count;
    if v_count > 0 then return false; end if;
    -- There are fewer.
    execute 'delete ' || v_rows using c.key;
  end loop;
  update conversation set due_at = null where key = c.key;
  return true;
end $$;
