-- Ids of the Welcomes of a conversation for these users, or for these devices of them (by position). Reads the Welcomes of the
-- conversation once and groups them: a look-up for each user would do as much for each of thousands, where its plan takes an index of
-- conversations. Where many wait, and few users are asked for, it looks into their inboxes instead: members leave a large group one by one.
create or replace function welcomes_for(p_conversation bigint, p_users text[], p_devices text[] default null) returns uuid[]
-- Else a plan that expects few may read all that wait, in a bitmap, to count the first of them.
language plpgsql stable set enable_bitmapscan = off as $$
begin
  if cardinality(p_users) <= max_inbox_look_ups() and (
       select count(*) from (select from welcome where conversation = p_conversation limit many_welcomes()) m) = many_welcomes() then
    return array(
      select w.id from unnest(p_users, p_devices) x (u, d)
      -- `offset 0`: a look-up by user.
      cross join lateral (select id, conversation, device_id from welcome where user_id = x.u offset 0) w
      where w.conversation = p_conversation and (p_devices is null or w.device_id = x.d));
  end if;
  return array(
    select unnest(array_agg(id) filter (where id is not null)) from (
      select id, user_id, device_id from welcome where conversation = p_conversation
      union all
      select null, u, d from unnest(p_users, p_devices) x (u, d)) y
    group by user_id, case when p_devices is not null then device_id end having bool_or(id is null));
end $$;

-- The devices that a Welcome is for: by the refs that it names (RFC 9420 §12.4.3.1), or in opaque conversations every device of the
-- users ('').
create or replace function welcome_targets(c conversation, p_refs bytea[], p_users text[])
returns table (user_id text, device_id text, ref bytea) language sql stable as $$
  select k.user_id, k.device_id, k.ref from unnest(p_refs) r (ref)
    cross join lateral (select user_id, device_id, ref from key_package where ref = r.ref limit 1) k
  union all
  select u, '', null from unnest(p_users) u where c.protocol = 'opaque'
$$;

-- Puts a Welcome into the inboxes of its targets, in place of an earlier one for the same device and conversation. Returns when it
-- expires; null = it is for nobody.
create or replace function deliver_welcome(c conversation, p_inviter text, p_welcome bytea, p_refs bytea[], p_users text[])
returns timestamptz language plpgsql as $$
declare
  v_expires timestamptz := c.last_at + welcome_lifetime();
  v_ids uuid[];
  v_old bigint[];
  v_target record;
begin
  select welcomes_for(c.key, array_agg(user_id order by user_id, device_id), array_agg(device_id order by user_id, device_id))
    into v_ids from welcome_targets(c, p_refs, p_users);
  with old as (delete from welcome where id = any (v_ids) returning seq)
    select array_agg(distinct seq) into v_old from old;
  insert into welcome (conversation, user_id, device_id, ref, seq, epoch, expires_at, inviter, size)
    select c.key, t.user_id, t.device_id, t.ref, c.last_seq, c.epoch, v_expires, p_inviter, octet_length(p_welcome)
    from welcome_targets(c, p_refs, p_users) t;
  if not found then return null; end if;
  insert into welcome_body (conversation, seq, welcome) values (c.key, c.last_seq, p_welcome);
  perform drop_welcome_bodies(c.key, v_old);
  -- Last, because it locks Welcomes of other conversations.
  for v_target in select user_id, device_id from welcome_targets(c, p_refs, p_users) loop
    perform make_room_in_inbox(v_target.user_id, v_target.device_id);
  end loop;
  return v_expires;
end $$;

-- Takes Welcomes out of the inbox of a device until it is no longer too full: one after another from whoever holds most of it, and
-- first from those whom the user does not know. They expire at once. The timer of their conversation deletes them and says so.
-- Never waits: a Welcome that is locked is being taken or withdrawn.
create or replace function make_room_in_inbox(p_user text, p_device text) returns void
language plpgsql as $$
declare
  v_now timestamptz := clock_timestamp();
  v_count bigint;
  v_bytes bigint;
  v_inviter text;
begin
  loop
    -- `offset 0` here and below: a look-up by user, and not by an index that has other columns of the condition.
    select count(*), sum(size) into v_count, v_bytes from (select * from welcome where user_id = p_user offset 0) w
      where device_id = p_device and expires_at > v_now;
    exit when v_count <= max_inbox_welcomes() and v_bytes <= max_inbox_bytes();
    select h.inviter into v_inviter from (
        select inviter, count(*) as count, sum(size) as bytes from (select * from welcome where user_id = p_user offset 0) w
        where device_id = p_device and expires_at > v_now group by inviter) h
      order by is_known(p_user, h.inviter), case when v_bytes > max_inbox_bytes() then h.bytes else h.count end desc, h.inviter
      limit 1;
    update welcome set expires_at = v_now, evicted_at = v_now where id = (
      select x.id from (
        select id from (select * from welcome where user_id = p_user offset 0) w
        where device_id = p_device and inviter = v_inviter and expires_at > v_now order by id) x
      cross join lateral (select from welcome where id = x.id and expires_at > v_now limit 1 for update skip locked) y
      limit 1);
    exit when not found;
  end loop;
end $$;

-- Makes the timers of conversations due whose Welcomes were taken out of an inbox. A conversation that is locked is left to the next
-- call. Returns their number.
create or replace function wake_evicted_welcomes(p_limit int) returns int
language plpgsql as $$
declare
  v_now timestamptz := clock_timestamp();
  v_count int;
begin
  update conversation set due_at = v_now where key = any (array(
    select c.key
    from (select distinct conversation from (
            select conversation from welcome where evicted_at is not null order by evicted_at limit p_limit) x) w
    cross join lateral (
      select key from conversation
      where key = w.conversation and deleted_at is null and (due_at is null or due_at > v_now)
      limit 1 for no key update skip locked) c));
  get diagnostics v_count = row_count;
  return v_count;
end $$;

-- Withdraws the Welcomes that users did not take up before their membership ended.
create or replace function withdraw_welcomes(p_conversation bigint, p_users text[]) returns void
language plpgsql as $$
declare
  v_ids uuid[] := welcomes_for(p_conversation, p_users);
  v_seqs bigint[];
begin
  with gone as (delete from welcome where id = any (v_ids) returning seq)
    select array_agg(distinct seq) into v_seqs from gone;
  perform drop_welcome_bodies(p_conversation, v_seqs);
end $$;

-- Deletes the bytes of those of these Welcomes whose last reader is gone; returns how many. Of any conversations: what somebody has
-- locked is left to the sweep.
create or replace function drop_welcome_bodies(p_conversations bigint[], p_seqs bigint[]) returns int
language plpgsql as $$
declare
  v_count int := 0;
  g record;
begin
  for g in select distinct conversation, seq from unnest(p_conversations, p_seqs) x (conversation, seq) order by 1, 2 loop
    perform from welcome_body b where b.conversation = g.conversation and b.seq = g.seq
        and (select true from welcome w where w.conversation = g.conversation and w.seq = g.seq limit 1) is null
      for update skip locked;
    if found then
      delete from welcome_body where conversation = g.conversation and seq = g.seq;
      v_count := v_count + 1;
    end if;
  end loop;
  return v_count;
end $$;

-- The same for one conversation, however many there are; null = none.
create or replace function drop_welcome_bodies(p_conversation bigint, p_seqs bigint[]) returns int
language plpgsql as $$
declare
  v_unread bigint[];
  v_count int;
begin
  if p_seqs is null then return 0; end if;
  v_unread := array(
    select s from unnest(p_seqs) s
    where (select true from welcome where conversation = p_conversation and seq = s limit 1) is null);
  delete from welcome_body where conversation = p_conversation and seq = any (v_unread);
  get diagnostics v_count = row_count;
  return v_count;
end $$;

-- Deletes a Welcome of this device, or of all devices of its user; false = there is none.
create or replace function acknowledge_welcome(p_user text, p_device text, p_id uuid) returns boolean
language plpgsql as $$
declare
  w welcome;
begin
  delete from welcome where id = p_id and user_id = p_user and device_id in (p_device, '') returning * into w;
  if not found then return false; end if;
  perform prove_by_welcome(w.conversation, p_user, w.seq);
  perform drop_welcome_bodies(array[w.conversation], array[w.seq]);
  return true;
end $$;

-- Looks at the next p_limit bodies after a position and deletes those that no device waits for. Returns the position after which
-- the next call continues; null = the end.
create or replace function sweep_welcome_bodies(p_conversation bigint, p_seq bigint, p_limit int,
                                     out conversation bigint, out seq bigint, out deleted int)
language plpgsql as $$
#variable_conflict use_column
declare
  v_conversations bigint[];
  v_seqs bigint[];
begin
  select array_agg(b.conversation order by b.conversation, b.seq), array_agg(b.seq order by b.conversation, b.seq)
    into v_conversations, v_seqs
    from (select conversation, seq from welcome_body where (conversation, seq) > (p_conversation, p_seq)
          order by conversation, seq limit p_limit) b;
  deleted := drop_welcome_bodies(v_conversations, v_seqs);
  if cardinality(v_conversations) = p_limit then
    conversation := v_conversations[p_limit];
    seq := v_seqs[p_limit];
  end if;
end $$;
