-- KeyPackageRefs that a commit uses (docs/explanation/key-packages.md).

-- Of the KeyPackageRefs in a JSON array those that this service handed out. It cannot judge the others.
create or replace function known_key_package_refs(p_array jsonb) returns bytea[]
language sql stable as $$ select array(select ref from key_package where ref = any (hex_list(p_array)) order by ref) $$;

-- The users whose key packages these are.
create or replace function owners_of_key_packages(p_refs bytea[]) returns text[]
language sql stable as $$
  select array(
    select distinct k.user_id from unnest(p_refs) r (ref)
    cross join lateral (select user_id from key_package where ref = r.ref limit 1) k)
$$;

-- Null when this commit may use these KeyPackageRefs. A claim serves its claimer, and every member of a conversation of which the
-- claimer is one: a member proposes, and another commits. A claim by the owner itself is a request to join. p_adds: the users of its Welcome; null = it has none. The packages stay
-- locked, in the order of their refs, so that no other conversation uses them meanwhile.
create or replace function key_package_refs_refusal(c conversation, p_actor text, p_refs bytea[], p_adds text[]) returns jsonb
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
           filter (where k.replaced_at is not null or k.not_after <= v_now or l.at < v_now - claim_lifetime()),
         array_agg(distinct k.user_id),
         count(distinct (k.user_id, k.device_id))
    into v_foreign, v_stale, v_users, v_devices
    from unnest(p_refs) i (ref)
    -- `limit 1`: look-ups by key, whatever the tables' sizes.
    left join lateral (select * from key_package where ref = i.ref limit 1) k on true
    -- Two separate look-ups, because only then is the newest claim at the end of an index. Both go to the last claim up to a
    -- place in the order of that index, which no other index has: by the index of users, each ref would read all claims of the
    -- user.
    left join lateral (
      select ref, user_id, conversation, at from claim
      where (ref, user_id, conversation, at) <= (i.ref, p_actor, '', 'infinity'::timestamptz)
      order by ref desc, user_id desc, conversation desc, at desc limit 1) a
      on a.ref = i.ref and a.user_id = p_actor and a.conversation = ''
    left join lateral (
      select ref, user_id, conversation, at from claim
      where (ref, user_id, conversation, at) <= (i.ref, p_actor, c.id, 'infinity'::timestamptz)
      order by ref desc, user_id desc, conversation desc, at desc limit 1) b
      on b.ref = i.ref and b.user_id = p_actor and b.conversation = c.id
    -- Only if its own claim does not do: the newest claims by others, for this conversation and for any.
    left join lateral (
      select max(o.at) as at from (
        (select ref, user_id, conversation, at from claim
         where (ref, conversation, at) <= (i.ref, c.id, 'infinity'::timestamptz)
         order by ref desc, conversation desc, at desc limit claims_looked_at())
        union all
        (select ref, user_id, conversation, at from claim
         where (ref, conversation, at) <= (i.ref, '', 'infinity'::timestamptz)
         order by ref desc, conversation desc, at desc limit claims_looked_at())) o
      where o.ref = i.ref and o.conversation in ('', c.id)
        and (is_or_was_just_member(c.key, o.user_id) or o.conversation = c.id and o.user_id = k.user_id)
        and coalesce(greatest(a.at, b.at) < v_now - claim_lifetime(), true)) s on true
    cross join lateral (select greatest(a.at, b.at, s.at) as at) l;
  if v_foreign then
    return refusal('welcome-mismatch', '{"detail": "It is with a key package that no member has claimed for this conversation, or that was used"}');
  elsif v_stale is not null then
    return refusal('key-package-stale', jsonb_build_object('refs', v_stale));
  elsif p_adds is not null and v_devices < cardinality(p_refs) then
    return refusal('welcome-mismatch', '{"detail": "The Welcome is for one device twice"}');
  elsif p_adds is not null and differ(v_users, p_adds) then
    return refusal('welcome-mismatch', '{"detail": "The Welcome is not for those who are added"}');
  end if;
  return null;
end $$;

-- Marks the key packages as used: nobody gets a single-use package again.
create or replace function use_key_packages(c conversation, p_refs bytea[]) returns void
language sql volatile as $$
  update key_package set used_at = c.last_at, conversation = c.key where ref = any (p_refs) and not last_resort
$$;

-- Whether a user is a member, or left by itself and has leaves still: what it proposed can be committed.
create or replace function is_or_was_just_member(p_conversation bigint, p_user text) returns boolean
language sql stable as $$
  select exists (select from member where conversation = p_conversation and user_id = p_user and (left_seq is null or leaving))
$$;

-- Null when each leaf that a commit adds has a secret in its Welcome; else nobody could join with it, and it would stay for ever.
-- p_leaves: SHA-256 of the leaf nodes. A leaf whose package was used in this conversation before is not new: somebody left it out of
-- the tree of an earlier GroupInfo. Nor is one that an earlier tree had: one lie must not refuse the commits of all others. Of packages from older releases only the number is known.
create or replace function new_leaves_refusal(c conversation, p_leaves bytea[], p_refs bytea[]) returns jsonb
language sql stable as $$
  select case when (
      select count(*) from (
        select unnest(p_leaves)
        except select k.leaf_node from unnest(p_refs) r (ref)
          cross join lateral (select leaf_node from key_package where ref = r.ref limit 1) k
        except select unnest(left_out) from group_info where conversation = c.key) l (leaf_node)
      where not exists (
        select from key_package where leaf_node = l.leaf_node and conversation = c.key and used_at is not null))
    > (select count(*) from unnest(p_refs) r (ref)
       cross join lateral (select leaf_node from key_package where ref = r.ref limit 1) k where k.leaf_node is null)
    then refusal('welcome-mismatch', '{"detail": "The ratchet tree has a new leaf for which the Welcome has no secret"}') end
$$;
