-- Consent: who may invite a user (docs/explanation/inbox.md). It is asked where a key package is claimed, and where somebody is put
-- into a conversation without a claimed key package.

-- Whether both are members of one conversation now: contacts. While a user lets only contacts invite it, nobody else can put it into
-- a conversation, so it has no contacts but those that it had before, and those that it accepted.
create or replace function is_contact(p_user text, p_other text) returns boolean
language sql stable as $$
  select (select true
    from (select conversation from member where user_id = p_user and left_seq is null offset 0) m
    cross join lateral (
      select from member where conversation = m.conversation and user_id = p_other and left_seq is null limit 1) o
    cross join lateral (select from conversation where key = m.conversation and deleted_at is null limit 1) c
    limit 1) is not null
$$;

-- The same, in a conversation in which p_user has acted itself. A membership alone shows no acquaintance: where users let anyone
-- invite them, anybody can put anybody into a conversation.
create or replace function has_acted_with(p_user text, p_other text) returns boolean
language sql stable as $$
  select (select true
    -- Where it acted, by what it sent and by the Welcomes that it took up: few, however many conversations others put it into.
    from (select conversation from member where user_id = p_user and left_seq is null and proven_at is not null
          union select conversation from proof where user_id = p_user) p
    cross join lateral (select * from member where conversation = p.conversation and user_id = p_user and left_seq is null limit 1) m
    cross join lateral (
      select from member where conversation = m.conversation and user_id = p_other and left_seq is null limit 1) o
    cross join lateral (select from conversation where key = m.conversation and deleted_at is null limit 1) c
    where proven_since(m) is not null limit 1) is not null
$$;

-- The same for one conversation.
create or replace function has_acted_with_in(p_user text, p_other text, p_conversation text) returns boolean
language sql stable as $$
  select (select true
    from (select key from conversation where id = p_conversation and deleted_at is null limit 1) c
    cross join lateral (
      select * from member where conversation = c.key and user_id = p_user and left_seq is null limit 1) m
    cross join lateral (
      select from member where conversation = c.key and user_id = p_other and left_seq is null limit 1) o
    where proven_since(m) is not null) is not null
$$;

-- Whether p_user knows p_other: it accepted a request, or acted in a conversation of both.
create or replace function is_known(p_user text, p_other text) returns boolean
language sql stable as $$
  select coalesce((select state = 'accepted' from consent_request where user_id = p_user and asker = p_other limit 1), false)
    or has_acted_with(p_user, p_other)
$$;

-- Whether p_inviter may invite p_user. p_conversation: for which conversation; '' = any. What the user answered to a request holds
-- in every mode. Devices for a conversation in which both are already need no consent.
create or replace function has_consent(p_user text, p_inviter text, p_conversation text) returns boolean
language plpgsql stable as $$
declare
  v_mode text := coalesce((select mode from consent where user_id = p_user limit 1), 'anyone');
  v_state text := (select state from consent_request where user_id = p_user and asker = p_inviter limit 1);
begin
  return case
    when p_user = p_inviter or v_state = 'accepted' then true
    when v_mode = 'anyone' and v_state is distinct from 'refused' then true
    when has_acted_with_in(p_user, p_inviter, p_conversation) then true
    else v_mode = 'contacts' and v_state is distinct from 'refused' and is_contact(p_user, p_inviter)
  end;
end $$;

-- Of these users those without consent, sorted.
create or replace function users_without_consent(p_users text[], p_inviter text, p_conversation text) returns text[]
language sql stable as $$
  select array(
    select u.user_id from unnest(p_users) u (user_id)
    left join lateral (select mode from consent where user_id = u.user_id limit 1) s on true
    left join lateral (select state from consent_request where user_id = u.user_id and asker = p_inviter limit 1) r on true
    -- Most users have no setting: for them nothing more is looked up.
    where case when coalesce(s.mode, 'anyone') <> 'anyone' or r.state = 'refused'
               then not has_consent(u.user_id, p_inviter, p_conversation) else false end
    order by u.user_id)
$$;

-- Records that p_asker wants to invite these users (sorted): one request for each pair, which expires. A user who refused is not asked
-- again. An asker has a bounded number of them; a user too, and then the oldest makes room.
create or replace function request_consent(p_asker text, p_users text[]) returns void
language plpgsql as $$
declare
  v_user text;
  v_before timestamptz := clock_timestamp() - consent_request_lifetime();
  v_room bigint := max_consent_requests_per_asker() - (
    select count(*) from (select state, at from consent_request where asker = p_asker offset 0) r
    where state = 'pending' and at > v_before);
begin
  foreach v_user in array p_users loop
    exit when v_room <= 0;
    insert into consent_request as r (user_id, asker) values (v_user, p_asker)
      on conflict (user_id, asker) do update set at = clock_timestamp() where r.state = 'pending' and r.at <= v_before;
    continue when not found;
    v_room := v_room - 1;
    -- A locked one is being answered.
    delete from consent_request where (user_id, asker) in (
      select y.user_id, y.asker from (
        select user_id, asker from (
          select * from consent_request where user_id = v_user and state = 'pending' and asker <> p_asker offset 0) p
        order by at desc offset max_consent_requests() - 1) x
      cross join lateral (
        select user_id, asker from consent_request where user_id = x.user_id and asker = x.asker and state = 'pending'
        limit 1 for update skip locked) y);
  end loop;
end $$;

-- A user's answer to a request; a later answer replaces an earlier one. False = there is no such request.
create or replace function answer_consent_request(p_user text, p_asker text, p_accept boolean) returns boolean
language plpgsql as $$
begin
  update consent_request set state = case when p_accept then 'accepted' else 'refused' end, at = clock_timestamp()
    where user_id = p_user and asker = p_asker and (state <> 'pending' or at > clock_timestamp() - consent_request_lifetime());
  return found;
end $$;
