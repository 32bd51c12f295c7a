-- Key packages (RFC 9420 §10, §16.8). The row of a device is the lock of its pool: uploads, claims and resets of one device take
-- turns. A caller that needs several devices of a user locks them in the order of their ids.

-- Withdraws all packages of a device that no commit has used yet, except p_keep: those in the pool, the last resort, and those that
-- were handed out. Locks in the order of refs, as commits do.
create or replace function replace_key_packages(p_user text, p_device text, p_keep bytea[]) returns void
language sql volatile as $$
  update key_package set replaced_at = clock_timestamp() where ref = any (array(
    select ref from key_package
    where user_id = p_user and device_id = p_device and used_at is null and replaced_at is null and ref <> all (p_keep)
    order by ref for no key update))
$$;

-- Packages of a device that a claim may still take, the last resort not among them; counts no further than p_limit.
create or replace function count_available(p_user text, p_device text, p_limit int) returns int
language sql stable as $$
  select count(*)::int from (
    select from key_package
    where user_id = p_user and device_id = p_device and claimed_at is null and replaced_at is null and not last_resort
      and not_after > clock_timestamp()
    limit p_limit) x
$$;

-- Stores checked packages of one device, the oldest first; with p_replace they replace all that it had. Of each cipher
-- suite there is one last resort: a new one replaces the one before. Returns {stored, duplicates, available}, or without
-- any effect {foreign: [positions from 1]} for packages that another device stored, or {full: true} above p_limit. A stored package
-- arms the low-stock event again.
create or replace function upload_key_packages(p_user text, p_device text, p_refs bytea[], p_packages bytea[], p_suites int[],
                                    p_not_after timestamptz[], p_last_resort boolean[], p_replace boolean,
                                    p_limit int) returns jsonb
language sql volatile as $$
  select insert_key_packages(p_user, p_device, p_refs, p_packages, p_suites, p_not_after, p_last_resort, p_replace, p_limit, '{}', '{}')
$$;

-- The same with the SHA-256 of each signature key and of each leaf node; empty lists = not known.
create or replace function insert_key_packages(p_user text, p_device text, p_refs bytea[], p_packages bytea[], p_suites int[],
                                    p_not_after timestamptz[], p_last_resort boolean[], p_replace boolean, p_limit int,
                                    p_signature bytea[], p_leaf_node bytea[]) returns jsonb
language plpgsql as $$
declare
  v_foreign int[];
  v_new bytea[];
  v_suite int;
  v_stored int;
  v_available int;
begin
  insert into device (user_id, device_id) values (p_user, p_device)
    on conflict (user_id, device_id) do update set seen_at = clock_timestamp();
  -- `limit 1`: look-ups by key, whatever the table's size.
  v_foreign := array(
    select i.n from unnest(p_refs) with ordinality i (ref, n)
    cross join lateral (select user_id, device_id from key_package where ref = i.ref limit 1) k
    where k.user_id <> '' and (k.user_id <> p_user or k.device_id <> p_device) order by i.n);
  if cardinality(v_foreign) > 0 then return jsonb_build_object('foreign', v_foreign); end if;
  v_new := array(
    select i.ref from unnest(p_refs) i (ref)
    left join lateral (select true as stored from key_package where ref = i.ref limit 1) k on true
    where k.stored is null);
  if not p_replace and count_available(p_user, p_device, p_limit + 1) + (
       select count(distinct i.ref) from unnest(p_refs, p_last_resort) i (ref, last_resort)
       where not i.last_resort and i.ref = any (v_new)) > p_limit then
    return '{"full": true}';
  end if;

  if p_replace then perform replace_key_packages(p_user, p_device, p_refs); end if;
  for v_suite in
    select i.cipher_suite from unnest(p_refs, p_suites, p_last_resort) i (ref, cipher_suite, last_resort)
    where i.last_resort and i.ref = any (v_new)
  loop
    update key_package set replaced_at = clock_timestamp()
      where user_id = p_user and device_id = p_device and cipher_suite = v_suite and last_resort and replaced_at is null;
  end loop;
  insert into key_package (ref, user_id, device_id, cipher_suite, key_package, last_resort, not_after, signature_key, leaf_node)
    select i.ref, p_user, p_device, i.cipher_suite, i.key_package, i.last_resort, i.not_after, i.signature_key, i.leaf_node
    from unnest(p_refs, p_packages, p_suites, p_not_after, p_last_resort, p_signature, p_leaf_node)
         with ordinality i (ref, key_package, cipher_suite, not_after, last_resort, signature_key, leaf_node, n)
    order by i.n
    on conflict (ref) do nothing;
  get diagnostics v_stored = row_count;
  v_available := count_available(p_user, p_device, 2147483647);
  if v_stored > 0 then
    update device set low_stock_at = null where user_id = p_user and device_id = p_device and low_stock_at is not null;
  end if;
  return jsonb_build_object('stored', v_stored, 'duplicates', cardinality(p_refs) - v_stored, 'available', v_available);
end $$;

-- Takes public keys for a user. Each belongs to one user and one purpose, and an init key to one package. Returns the positions of
-- packages (from 1) with a key for which that does not hold. Locks in the order of hashes.
create or replace function take_public_keys(p_user text, p_refs bytea[], p_not_after timestamptz[], p_init bytea[],
                                    p_encryption bytea[], p_signature bytea[]) returns int[]
language sql volatile as $$
  with used as materialized (
    select i.n, k.hash, k.purpose, case when k.purpose = 'init' then i.ref end as ref, i.not_after
    from unnest(p_refs, p_not_after, p_init, p_encryption, p_signature)
         with ordinality i (ref, not_after, init, encryption, signature, n)
    cross join lateral (values (i.init, 'init'), (i.encryption, 'encryption'), (i.signature, 'signature')) k (hash, purpose)
  ), one as materialized (
    select hash, min(purpose) as purpose, min(ref) as ref, max(not_after) as not_after from used
    group by hash having count(distinct (purpose, ref)) = 1
  ), taken as (
    insert into public_key as p (hash, user_id, purpose, ref, not_after)
      select hash, p_user, purpose, ref, not_after from one order by hash
      -- Only a signature key is proven: its package is signed with it. Somebody else may have named it as another key, to keep
      -- its owner out.
      on conflict (hash) do update set user_id = excluded.user_id, purpose = excluded.purpose, ref = excluded.ref,
          not_after = greatest(p.not_after, excluded.not_after)
        where p.user_id = excluded.user_id and p.purpose = excluded.purpose and p.ref is not distinct from excluded.ref
          or p.user_id <> excluded.user_id and p.purpose <> 'signature' and excluded.purpose = 'signature'
      returning hash
  )
  select array(select distinct n::int from used where hash not in (select hash from taken) order by 1)
$$;

-- Stores checked packages like upload_key_packages(), and takes their public keys, or has no effect: {shared: [positions from 1]} for
-- packages with a key that is another user's, or has another purpose. p_leaf_node: SHA-256 of each leaf node.
create or replace function store_key_packages(p_user text, p_device text, p_refs bytea[], p_packages bytea[], p_suites int[],
                                   p_not_after timestamptz[], p_last_resort boolean[], p_replace boolean, p_limit int,
                                   p_init bytea[], p_encryption bytea[], p_signature bytea[],
                                   p_leaf_node bytea[] default '{}') returns jsonb
language plpgsql as $$
declare
  v_shared int[];
begin
  v_shared := take_public_keys(p_user, p_refs, p_not_after, p_init, p_encryption, p_signature);
  -- The exception gives back the keys of the other packages.
  if cardinality(v_shared) > 0 then raise exception 'shared keys' using errcode = 'PA002'; end if;
  return insert_key_packages(p_user, p_device, p_refs, p_packages, p_suites, p_not_after, p_last_resort, p_replace, p_limit,
                             p_signature, p_leaf_node);
exception when sqlstate 'PA002' then
  return jsonb_build_object('shared', v_shared);
end $$;

-- The cipher suite of which a claim for a conversation may take packages: that of its group. Null = any; 0 = the claim asks for
-- another one, of which there is no package.
create or replace function claimable_suite(p_claimer text, p_conversation text, p_suite int) returns int
language plpgsql stable as $$
declare
  v_suite int;
begin
  if p_conversation = '' then return p_suite; end if;
  select g.cipher_suite into v_suite from conversation c
    join member m on m.conversation = c.key and m.user_id = p_claimer and m.left_seq is null
    join group_info g on g.conversation = c.key
    where c.id = p_conversation;
  return case when v_suite is null or v_suite = p_suite then coalesce(p_suite, v_suite)
              when p_suite is null then v_suite else 0 end;
end $$;

-- The package of a device that its next claim gets, the last resort not among them; null = there is none.
create or replace function next_key_package(p_user text, p_device text, p_suite int) returns bytea
language sql stable as $$
  select ref from key_package
  where user_id = p_user and device_id = p_device and claimed_at is null and replaced_at is null and not last_resort
    and not_after > clock_timestamp() and (p_suite is null or cipher_suite = p_suite)
  order by uploaded_at, ref limit 1
$$;

-- When a claimer may take from the pool of a device again; null = now. In 24 hours it gets p_most packages, and no more
-- while it holds p_hold of them unused.
create or replace function next_claim_at(p_claimer text, p_user text, p_device text, p_hold int, p_most int)
returns timestamptz language sql stable as $$
  select claim_lifetime() + greatest(
      (array_agg(k.claimed_at order by k.claimed_at desc))[p_most],
      (array_agg(k.claimed_at order by k.claimed_at desc) filter (where k.used_at is null and k.replaced_at is null))[p_hold])
  from key_package k
  -- `limit 1`: a look-up by key, whatever the table's size.
  cross join lateral (select from claim where ref = k.ref and user_id = p_claimer limit 1) c
  where k.user_id = p_user and k.device_id = p_device and k.claimed_at > statement_timestamp() - claim_lifetime()
$$;

-- The package that a claim gets of a device: the next one, or the last resort once there is none; null = there is neither.
create or replace function claimable_key_package(p_user text, p_device text, p_suite int) returns bytea
language sql stable as $$
  select coalesce(
    next_key_package(p_user, p_device, p_suite),
    (select ref from key_package
     where user_id = p_user and device_id = p_device and last_resort and replaced_at is null and not_after > clock_timestamp()
       and (p_suite is null or cipher_suite = p_suite)
     order by uploaded_at desc limit 1))
$$;

-- Hands out these packages of these devices, for good. The caller has locked the devices and chosen the packages since; null = the
-- device has none. `low` = this claim took its pool below p_low.
create or replace function hand_out_key_packages(p_operation text, p_claimer text, p_conversation text, p_low int, p_many boolean,
                                      p_users text[], p_devices text[], p_refs bytea[])
returns table (user_id text, device_id text, ref bytea, key_package bytea, last_resort boolean, low boolean)
language plpgsql as $$
#variable_conflict use_column
declare
  -- a variable, because an index cannot be searched by a volatile function
  v_now timestamptz := clock_timestamp();
  v_low boolean[];
begin
  -- In the order of refs, as commits lock them.
  update key_package set claimed_at = v_now where ref = any (array(
    select ref from key_package where ref = any (p_refs) and not last_resort order by ref for no key update));
  -- A last resort has many claims. Lapsed ones have no use; a locked one is being deleted by somebody else.
  delete from claim where (operation, ref) in (
    select c.operation, c.ref from unnest(p_refs) r (ref)
    cross join lateral (select from key_package where ref = r.ref and last_resort limit 1) k
    cross join lateral (
      select operation, ref from claim
      where ref = r.ref and user_id = p_claimer and conversation = p_conversation and at < v_now - claim_lifetime()
      for update skip locked limit 100) c);
  insert into claim (ref, user_id, conversation, operation, many)
    select r.ref, p_claimer, p_conversation, p_operation, p_many from unnest(p_refs) r (ref) where r.ref is not null order by r.ref
    -- A last resort, under an Idempotency-Key that the claimer uses again after a day.
    on conflict (operation, ref) do update set conversation = excluded.conversation, at = excluded.at;
  -- Lists side by side need no join.
  v_low := array(
    select c.n < p_low and (select low_stock_at is null from device where user_id = d.user_id and device_id = d.device_id limit 1)
    from unnest(p_users, p_devices) with ordinality d (user_id, device_id, n)
    cross join lateral count_available(d.user_id, d.device_id, p_low) c (n) order by d.n);
  update device set low_stock_at = v_now from unnest(p_users, p_devices, v_low) d (user_id, device_id, low)
    where d.low and device.user_id = d.user_id and device.device_id = d.device_id;
  return query
    select d.user_id, d.device_id, k.ref, k.key_package, k.last_resort, d.low
    from unnest(p_users, p_devices, p_refs, v_low) d (user_id, device_id, ref, low)
    left join lateral (select * from key_package where ref = d.ref limit 1) k on true;
end $$;

-- Hands out one package of each device of p_user (null: of all that are known; never of the claimer's own device), the
-- oldest that is usable, for good; the last resort once there is none. One row for each device: without a ref it is
-- exhausted; `low` = this claim took its pool below p_low. The same p_operation again gets the same packages, even when they were
-- used or replaced since, unless their owner was erased. Nobody drains the pool of another user: a claimer that has used up p_rate
-- packages a minute (0 = no limits), or those of a device as next_claim_at() says, gets only a single row with the time to wait and
-- that device ('' = the limit per minute). A claimer without consent of p_user gets only a single row with the time -1, and p_user
-- gets a request for consent.
create or replace function claim_key_packages(p_operation text, p_claimer text, p_claimer_device text, p_user text,
                                   p_devices text[], p_suite int, p_conversation text, p_rate int, p_hold int, p_most int,
                                   p_low int)
returns table (device text, ref bytea, key_package bytea, last_resort boolean, low boolean, wait_ms bigint)
language plpgsql as $$
#variable_conflict use_column
declare
  v_devices text[];
  v_device text;
  v_count int;
  -- a variable, because an index cannot be searched by a volatile function
  v_now timestamptz;
  v_earlier timestamptz;
  v_until timestamptz;
begin
  -- One claim of a claimer at a time, over all processes. Two at once would not see each other's packages and exceed the limits; and
  -- a claim that is repeated while it runs would be made twice.
  perform pg_advisory_xact_lock(hashtextextended(case when p_rate > 0 then 'claims of ' || p_claimer else p_operation end, 0));
  v_earlier := (select min(c.at) from claim c where c.operation = p_operation);
  if v_earlier is null and not has_consent(p_user, p_claimer, p_conversation) then
    perform request_consent(p_claimer, array[p_user]);
    return query select '', null::bytea, null::bytea, null::boolean, null::boolean, -1::bigint;
    return;
  end if;
  v_devices := array(
    select d.device_id from device d
    where d.user_id = p_user and (p_devices is null or d.device_id = any (p_devices))
      and not (p_user = p_claimer and d.device_id = p_claimer_device)
    order by d.device_id for no key update);
  v_now := clock_timestamp();
  if v_earlier is not null then
    return query
      with given as materialized (
        select y.* from claim c cross join lateral (select * from key_package where ref = c.ref limit 1) y
        where c.operation = p_operation and y.user_id = p_user)
      select g.device_id, g.ref, g.key_package, g.last_resort, false, null::bigint from given g
      union all
      -- Devices that the first claim found exhausted: they were known then, and have no package in it.
      select d.device_id, null, null, null, false, null
      from unnest(v_devices) v (device_id)
      cross join lateral (select * from device where user_id = p_user and device_id = v.device_id limit 1) d
      where d.created_at < v_earlier and d.device_id not in (select device_id from given)
      order by 1;
    return;
  end if;

  if p_rate > 0 then
    select count(*), min(c.at) + claim_rate() into v_count, v_until from claim c
      where c.user_id = p_claimer and c.at > v_now - claim_rate() and not c.many;
    if v_count = 0 or v_count + cardinality(v_devices) <= p_rate then
      select d, t.until into v_device, v_until
        from unnest(v_devices) d cross join lateral next_claim_at(p_claimer, p_user, d, p_hold, p_most) t (until)
        where t.until > v_now and next_key_package(p_user, d, p_suite) is not null
        order by t.until desc limit 1;
    end if;
    if v_until is not null then
      return query select coalesce(v_device, ''), null::bytea, null::bytea, null::boolean, null::boolean,
        greatest(0, ceil(extract(epoch from v_until - v_now) * 1000))::bigint;
      return;
    end if;
  end if;

  return query
    select h.device_id, h.ref, h.key_package, h.last_resort, h.low, null::bigint
    from hand_out_key_packages(
      p_operation, p_claimer, p_conversation, p_low, false,
      array(select p_user from unnest(v_devices)), v_devices,
      array(select claimable_key_package(p_user, d.id, p_suite) from unnest(v_devices) with ordinality d (id, n) order by d.n)) h
    order by 1;
end $$;
