-- Rules of membership that several operations share.

-- Whether the conversation would be without an admin if these users went.
create or replace function loses_last_admin(c conversation, p_users text[]) returns boolean
language sql volatile as $$
  select exists (select from member where conversation = c.key and left_seq is null and role = 'admin' and user_id = any (p_users))
    and not exists (
      select from member where conversation = c.key and left_seq is null and role = 'admin' and user_id <> all (p_users))
$$;

-- A conversation that lost its last admin gets the longest-standing member as the new one.
create or replace function hand_over(c conversation) returns void
language plpgsql as $$
declare
  v_heir text;
begin
  if exists (select from member where conversation = c.key and left_seq is null and role = 'admin') then return; end if;
  select user_id into v_heir from member where conversation = c.key and left_seq is null
    order by joined_seq, user_id limit 1;
  if not found then return; end if;
  update member set role = 'admin' where conversation = c.key and user_id = v_heir;
  perform tell(c, 'role', jsonb_build_object('user', v_heir, 'role', 'admin'));
end $$;

-- Whether the users in a ratchet tree are those whom the group should have after p_adds and p_removes; null = yes. One who
-- left by itself may still be there, and one whom a predecessor's members brought along may not be there yet.
create or replace function leaves_refusal(c conversation, p_leaves text[], p_adds text[], p_removes text[]) returns jsonb
language plpgsql as $$
begin
  if exists (
    select unnest(p_leaves)
    except (
      select user_id from member where conversation = c.key and (left_seq is null or leaving)
      except select unnest(p_removes))
    except select unnest(p_adds))
  then
    return refusal('membership-mismatch', '{"detail": "The ratchet tree has a leaf of somebody who is no member"}');
  end if;
  if exists (
    (select user_id from member where conversation = c.key and left_seq is null and not awaited
     except select unnest(p_removes)
     union select unnest(p_adds))
    except select unnest(p_leaves))
  then
    return refusal('membership-mismatch', '{"detail": "The ratchet tree has no leaf of somebody who is a member"}');
  end if;
  return null;
end $$;

-- Whether these KeyPackageRefs may be used by this commit, in a Welcome for p_adds (null = without one); null = yes. The packages stay locked, in the order of
-- their refs, so that no other conversation uses them meanwhile.
create or replace function refs_refusal(c conversation, p_actor text, p_refs bytea[], p_adds text[]) returns jsonb
language plpgsql as $$
declare
  v_now timestamptz := clock_timestamp();
  v_foreign boolean;
  v_stale text[];
  v_users text[];
  v_devices int;
begin
  perform from key_package where ref = any (p_refs) order by ref for no key update;
  select bool_or(k.ref is null or l.at is null or (k.used_at is not null and not k.last_resort)),
         array_agg(encode(k.ref, 'base64') order by k.ref)
           filter (where k.replaced_at is not null or k.not_after <= v_now or l.at < v_now - interval '24 h'),
         array_agg(distinct k.user_id),
         count(distinct (k.user_id, k.device_id))
    into v_foreign, v_stale, v_users, v_devices
    from unnest(p_refs) i (ref)
    -- `limit 1`: look-ups by key, whatever the tables' sizes.
    left join lateral (select * from key_package where ref = i.ref limit 1) k on true
    -- One for each of both, because only then is the newest the end of an index.
    cross join lateral (select greatest(
      (select max(at) from claim where ref = i.ref and user_id = p_actor and conversation = ''),
      (select max(at) from claim where ref = i.ref and user_id = p_actor and conversation = c.id)) as at) l;
  if v_foreign then
    return refusal('welcome-mismatch', '{"detail": "It is with a key package that the sender did not claim for this conversation, or that was used"}');
  elsif v_stale is not null then
    return refusal('key-package-stale', jsonb_build_object('refs', v_stale));
  elsif p_adds is not null and v_devices < cardinality(p_refs) then
    return refusal('welcome-mismatch', '{"detail": "The Welcome is for one device twice"}');
  elsif p_adds is not null and not (coalesce(v_users, '{}') @> p_adds and coalesce(v_users, '{}') <@ p_adds) then
    return refusal('welcome-mismatch', '{"detail": "The Welcome is not for those who are added"}');
  end if;
  return null;
end $$;

-- Whether somebody may join by an external commit; null = yes. One whom others removed needs an add.
create or replace function external_refusal(c conversation, p_found boolean, m member) returns jsonb
language sql immutable as $$
  select case
    when p_found and m.left_seq is null then
      case when c.policy ->> 'externalJoin' = 'nobody' then refusal('not-allowed') end
    when p_found and not m.left_self then refusal('not-found')
    when c.policy ->> 'externalJoin' = 'anyone' then null
    else coalesce(membership_refusal(p_found, m), refusal('not-found'))
  end
$$;
