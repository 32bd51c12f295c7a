-- Bars: an admin says who cannot come back by itself, whether or not it is or was a member. A bar removes nobody, and a current
-- member keeps joining with further devices, but not into a successor. An add by an admin lifts it; a successor keeps it.

-- Bars a user or lifts the bar; the actor is an admin.
create or replace function decide_bar(inout c conversation, op jsonb, out result jsonb)
language plpgsql as $$
declare
  v_user text := op ->> 'user';
  v_barred boolean := (op ->> 'barred')::boolean;
  v_changed boolean;
begin
  if not v_barred then
    delete from bar where conversation = c.key and user_id = v_user;
    v_changed := found;
  elsif not barred_by_somebody(c.key, v_user)
        and (select count(*) from bar where conversation = c.key and barred_by is not null) >= max_bars() then
    result := refusal('not-allowed', jsonb_build_object('detail', format('At most %s users can be barred', max_bars())));
    return;
  else
    v_changed := not barred_by_somebody(c.key, v_user);
    insert into bar (conversation, user_id, barred_by) values (c.key, v_user, op ->> 'actor')
      on conflict (conversation, user_id) do update set barred_by = coalesce(bar.barred_by, excluded.barred_by);
  end if;
  if v_changed then
    perform audit_bounded(c, op ->> 'actor', case when v_barred then 'bar' else 'unbar' end, jsonb_build_object('user', v_user));
  end if;
  result := jsonb_build_object('status', 'accepted', 'user', v_user, 'barred', v_barred);
end $$;

-- Whether a user cannot come back by itself, apart from what its own membership says.
create or replace function is_barred(p_conversation bigint, p_user text) returns boolean
language sql stable as $$ select exists (select from bar where conversation = p_conversation and user_id = p_user) $$;

-- Whether an admin, or a reset that undid a trial, barred the user.
create or replace function barred_by_somebody(p_conversation bigint, p_user text) returns boolean
language sql stable as $$
  select exists (select from bar where conversation = p_conversation and user_id = p_user and barred_by is not null)
$$;

-- Null when the member may add these users again: only an admin undoes what an admin decided.
create or replace function bar_refusal(c conversation, m member, p_users text[]) returns jsonb
language sql stable as $$
  select case when m.role <> 'admin'
      and exists (select from bar where conversation = c.key and user_id = any (p_users) and barred_by is not null)
    then refusal('not-allowed', '{"detail": "An admin has barred a user whom the commit adds: only an admin can add it again"}') end
$$;
