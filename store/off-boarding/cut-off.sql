-- Off-boarding of users (docs/explanation/joining.md#off-boarding). A user is cut off as soon as its row in `off_boarding` is there:
-- every decision asks for it. Then each conversation ends the membership, in a transaction of its own.

-- Whether an operator has removed the user from everywhere.
create or replace function is_cut_off(p_user text) returns boolean
language sql stable as $$
  select exists (select from off_boarding where user_id = p_user and device_id = '' and ended_at is null)
$$;

-- Null unless the actor is cut off. One who is no member hears nothing, as every outsider.
create or replace function cut_off_refusal(c conversation, m member, op jsonb) returns jsonb
language sql stable as $$
  select case when is_cut_off(op ->> 'actor') then
    case when m.user_id is null then refusal('not-found')
      else refusal('removed', jsonb_build_object('seq', coalesce(m.left_seq, c.last_seq))) end end
$$;

-- Null when nobody among these users was removed from everywhere.
create or replace function off_boarded_refusal(p_users text[]) returns jsonb
language sql stable as $$
  select case when exists (
      select from unnest(p_users) u where exists (
        select from off_boarding where user_id = u and device_id = '' and ended_at is null))
    then refusal('not-allowed', '{"detail": "An operator has removed one of these users from everywhere"}') end
$$;

-- Ends the membership of a user whom an off-boarding removes, and notes that its leaves should go. As a leave, but the user cannot
-- come back by itself. Repeated it changes nothing. Returns {lastSeq} if the conversation changed, else null.
create or replace function cut_off_member(p_id text, p_off_boarding bigint) returns jsonb
language plpgsql as $$
declare
  c conversation;
  m member;
  o off_boarding;
  v_done_at timestamptz;
begin
  perform expect_lock(p_id);
  select * into c from conversation where id = p_id;
  select * into o from off_boarding where id = p_off_boarding and ended_at is null;
  if c.key is null or c.deleted_at is not null or o.id is null then return null; end if;
  select * into m from member where conversation = c.key and user_id = o.user_id;
  if m.left_seq is not null and not m.leaving then return null; end if;
  -- Nothing is left behind by a member without a leaf, or where there are no leaves (`opaque`).
  v_done_at := case when m.awaited or c.protocol = 'opaque' then clock_timestamp() end;
  insert into removal as r (conversation, user_id, off_boarding, role, done_at)
    values (c.key, m.user_id, o.id, case when m.left_seq is null then m.role end, v_done_at)
    on conflict (conversation, user_id, device_id) do update
      set off_boarding = excluded.off_boarding, role = coalesce(excluded.role, r.role),
          since = case when r.done_at is null then r.since else excluded.since end, epoch = null, done_at = excluded.done_at,
          wanted = false
      where r.off_boarding is distinct from excluded.off_boarding or m.left_seq is null;
  if m.left_seq is not null then return null; end if;
  insert into pending_removal (conversation, user_id, reason, since_epoch)
    select c.key, m.user_id, 'off-boarding', c.epoch where v_done_at is null on conflict do nothing;
  c := end_membership(c, m, not m.awaited, false);
  if c.member_count = 0 then c := with_abandonment(c); end if;
  perform save_conversation(c);
  return jsonb_build_object('lastSeq', c.last_seq);
end $$;

-- The same for a device: its user stays, and the leaves should go that are known as those of the device. Leaves that it got after it was
-- cut off belong to a new login; requests that were at work then may still bring one.
create or replace function cut_off_device(p_id text, p_off_boarding bigint) returns jsonb
language plpgsql as $$
declare
  c conversation;
  o off_boarding;
begin
  perform expect_lock(p_id);
  select * into c from conversation where id = p_id;
  select * into o from off_boarding where id = p_off_boarding and ended_at is null;
  if c.key is null or c.deleted_at is not null or o.id is null then return null; end if;
  insert into pending_removal (conversation, user_id, leaf, reason, device_id, since_epoch)
    select c.key, o.user_id, d.leaf, 'off-boarding', o.device_id, c.epoch
    from (select leaf, since_at from device_leaf where user_id = o.user_id and device_id = o.device_id and conversation = c.key offset 0) d
    where d.since_at < o.started_at + cut_off_grace()
    on conflict do nothing;
  if not found then return null; end if;
  insert into removal (conversation, user_id, device_id, off_boarding) values (c.key, o.user_id, o.device_id, o.id)
    on conflict (conversation, user_id, device_id) do update
      set off_boarding = excluded.off_boarding, since = excluded.since, epoch = null, tried_at = null, done_at = null, wanted = false;
  return null;
end $$;

-- Undoes what an off-boarding did to a conversation. If no commit has removed the leaves of the user yet, it is a member again, as
-- if it had never been away: its leaves can still read everything. Returns as cut_off_member().
create or replace function restore_member(p_id text, p_off_boarding bigint) returns jsonb
language plpgsql as $$
declare
  c conversation;
  m member;
  r removal;
begin
  perform expect_lock(p_id);
  select * into c from conversation where id = p_id;
  delete from removal where conversation = c.key and off_boarding = p_off_boarding and (done_at is null or role is not null)
    returning * into r;
  if r.user_id is null then return null; end if;
  delete from pending_removal
    where conversation = c.key and user_id = r.user_id and reason = 'off-boarding' and device_id = r.device_id;
  select * into m from member where conversation = c.key and user_id = r.user_id;
  -- A member without a leaf was not leaving: it has nothing to come back to, and is added again.
  if r.role is null or c.deleted_at is not null or m.left_seq is null or not m.leaving then return null; end if;
  update period set to_seq = null where conversation = c.key and user_id = m.user_id
    and from_seq = (select max(from_seq) from period where conversation = c.key and user_id = m.user_id);
  update member set left_seq = null, left_epoch = null, left_at = null, left_policy = null, leaving = false, role = r.role,
      changed_xid = pg_current_xact_id()
    where conversation = c.key and user_id = m.user_id;
  c.member_count := c.member_count + 1;
  perform record_change(c, 'added', jsonb_build_object('users', array[m.user_id]));
  if c.member_count = 1 then c := with_abandonment(c); end if;
  perform save_conversation(c);
  return jsonb_build_object('lastSeq', c.last_seq);
end $$;
