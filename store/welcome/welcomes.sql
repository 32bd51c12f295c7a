-- Ids of the Welcomes of a conversation for these users, or for these devices of them (by position). Reads the Welcomes of the
-- conversation once and groups them. A look-up for each user would do as much for each of thousands, where its plan takes an
-- index of conversations.
create or replace function welcomes_for(p_conversation bigint, p_users text[], p_devices text[] default null) returns uuid[]
language sql stable as $$
  select array(
    select unnest(array_agg(id) filter (where id is not null)) from (
      select id, user_id, device_id from welcome where conversation = p_conversation
      union all
      select null, u, d from unnest(p_users, p_devices) x (u, d)) y
    group by user_id, case when p_devices is not null then device_id end having bool_or(id is null))
$$;

-- Puts a Welcome where its devices find it: by the refs that it names (RFC 9420 §12.4.3.1), or in opaque conversations for
-- every device of the users. Returns when it expires; null = it is for nobody.
create or replace function deliver_welcome(c conversation, p_welcome bytea, p_refs bytea[], p_users text[]) returns timestamptz
language plpgsql as $$
declare
  v_expires timestamptz := c.last_at + welcome_lifetime();
  v_ids uuid[];
  v_old bigint[];
begin
  with target as (
    select k.user_id, k.device_id, k.ref from unnest(p_refs) r (ref)
    cross join lateral (select user_id, device_id, ref from key_package where ref = r.ref limit 1) k
    union all
    select u, '', null from unnest(p_users) u where c.protocol = 'opaque'
  )
  select welcomes_for(c.key, array_agg(user_id order by user_id, device_id), array_agg(device_id order by user_id, device_id))
    into v_ids from target;
  with old as (delete from welcome where id = any (v_ids) returning seq)
    select array_agg(distinct seq) into v_old from old;
  insert into welcome (conversation, user_id, device_id, ref, seq, epoch, expires_at)
    select c.key, k.user_id, k.device_id, k.ref, c.last_seq, c.epoch, v_expires from unnest(p_refs) r (ref)
    cross join lateral (select user_id, device_id, ref from key_package where ref = r.ref limit 1) k
    union all
    select c.key, u, '', null, c.last_seq, c.epoch, v_expires from unnest(p_users) u where c.protocol = 'opaque';
  if not found then return null; end if;
  insert into welcome_body (conversation, seq, welcome) values (c.key, c.last_seq, p_welcome);
  perform drop_welcome_bodies(c.key, v_old);
  return v_expires;
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

-- Deletes the bytes of those of these Welcomes whose last reader is gone; returns how many.
create or replace function drop_welcome_bodies(p_conversations bigint[], p_seqs bigint[]) returns int
language plpgsql as $$
declare
  v_count int := 0;
  g record;
begin
  for g in select distinct conversation, seq from unnest(p_conversations, p_seqs) x (conversation, seq) order by 1, 2 loop
    delete from welcome_body b where b.conversation = g.conversation and b.seq = g.seq
      and not exists (select from welcome w where w.conversation = g.conversation and w.seq = g.seq);
    if found then v_count := v_count + 1; end if;
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
  v_unread := array(select unnest(p_seqs) except select seq from welcome where conversation = p_conversation);
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
