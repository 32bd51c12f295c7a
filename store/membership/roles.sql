-- Roles: a conversation keeps at least one admin.

-- Changes the role of a member; the actor is an admin.
create or replace function decide_role(inout c conversation, op jsonb, out result jsonb)
language plpgsql as $$
declare
  v_user text := op ->> 'user';
  v_role text := op ->> 'role';
  v_old_role text := (select role from member where conversation = c.key and user_id = v_user and left_seq is null);
begin
  if v_old_role is null then
    result := refusal('not-found');
    return;
  end if;
  if v_role <> 'admin' and loses_last_admin(c, array[v_user]) then
    result := refusal('not-allowed');
    return;
  end if;
  update member set role = v_role, changed_xid = pg_current_xact_id() where conversation = c.key and user_id = v_user;
  if v_old_role <> v_role then perform record_change(c, 'role', jsonb_build_object('user', v_user, 'role', v_role)); end if;
  result := jsonb_build_object('status', 'accepted', 'role', v_role);
end $$;

-- Whether the conversation would be without an admin if these users left or lost the role.
create or replace function loses_last_admin(c conversation, p_users text[]) returns boolean
language sql volatile as $$
  select exists (select from member where conversation = c.key and left_seq is null and role = 'admin' and user_id = any (p_users))
    and not exists (
      select user_id from member where conversation = c.key and left_seq is null and role = 'admin' except select unnest(p_users))
$$;

-- Makes the longest-standing member admin of a conversation that lost its last admin. In a successor all joined at the same time: there
-- whom somebody else, or itself, brought in comes last, else a member could invent the next admin by the choice of a name.
create or replace function promote_new_admin(c conversation) returns void
language plpgsql as $$
declare
  v_user text;
begin
  if exists (select from member where conversation = c.key and left_seq is null and role = 'admin') then return; end if;
  select user_id into v_user from member where conversation = c.key and left_seq is null
    order by joined_seq, brought_by is not null, user_id limit 1;
  if not found then return; end if;
  update member set role = 'admin', changed_xid = pg_current_xact_id() where conversation = c.key and user_id = v_user;
  perform record_change(c, 'role', jsonb_build_object('user', v_user, 'role', 'admin'));
end $$;
