-- Claims for many users at once, for large groups (docs/explanation/key-packages.md#claims-for-many-users).

-- Hands out one package of each device of each user, like claim_key_packages() for each of them: the same packages, limits for one device,
-- and consent. What one user does not give does not touch the others. Rows: a package; a device without ref = it is exhausted; a user
-- without device = nothing was claimed of it, `code` says why: `consent-required` (it gets a request for consent), `rate-limited` (for
-- wait_ms) or `left-over` (the answer is full: the claimer should ask again). The same p_operation again gets the same within a day,
-- except packages whose owner was erased. A claimer that has asked for p_rate users within a minute (0 = no limit) gets only a single
-- row with the time to wait and the user ''. p_hold, p_most: as next_claim_at(), 0 = no limit for one device. The answer has at most
-- p_devices devices and p_bytes bytes of packages, or one user.
create or replace function claim_for_users(p_operation text, p_claimer text, p_claimer_device text, p_users text[], p_suite int,
                                p_conversation text, p_rate int, p_hold int, p_most int, p_low int, p_devices int, p_bytes bigint)
returns table (user_id text, device_id text, ref bytea, key_package bytea, last_resort boolean, low boolean, code text, wait_ms bigint)
language plpgsql as $$
#variable_conflict use_column
declare
  -- a variable, because an index cannot be searched by a volatile function
  v_now timestamptz;
  v_earlier group_claim;
  v_count bigint;
  v_until timestamptz;
  v_refused text[];
  v_users text[];
  v_devices text[];
  v_refs bytea[];
  v_untils timestamptz[];
  v_codes text[];
  v_rest jsonb;
begin
  -- As in claim_key_packages(): one claim of a claimer at a time.
  perform pg_advisory_xact_lock(hashtextextended('claims of ' || p_claimer, 0));
  select * into v_earlier from group_claim g where g.operation = p_operation;
  if found then
    return query
      select k.user_id, k.device_id, k.ref, k.key_package, k.last_resort, false, null::text, null::bigint
      from claim c cross join lateral (select * from key_package where ref = c.ref limit 1) k
      where c.operation = p_operation and c.at >= v_earlier.at and k.user_id <> ''
      union all
      select r.user_id, r.device_id, null, null, null, false, r.code, r.wait_ms
      from jsonb_to_recordset(v_earlier.rest) r (user_id text, device_id text, code text, wait_ms bigint);
    return;
  end if;
  v_now := clock_timestamp();
  if p_rate > 0 then
    select sum(g.users), min(g.at) + claim_rate() into v_count, v_until from group_claim g
      where g.user_id = p_claimer and g.at > v_now - claim_rate();
    if v_count + cardinality(p_users) > p_rate then
      return query select '', null, null::bytea, null::bytea, null::boolean, false, 'rate-limited',
        greatest(0, ceil(extract(epoch from v_until - v_now) * 1000))::bigint;
      return;
    end if;
  end if;

  v_refused := users_without_consent(p_users, p_claimer, p_conversation);
  -- In one order. One device more than fits: then its user, and those after it, are left over.
  select coalesce(array_agg(d.user_id order by d.user_id, d.device_id), '{}'),
         coalesce(array_agg(d.device_id order by d.user_id, d.device_id), '{}')
    into v_users, v_devices
    from (
      select user_id, device_id from device
      where user_id = any (array(select unnest(p_users) except select unnest(v_refused)))
        and not (user_id = p_claimer and device_id = p_claimer_device)
      order by user_id, device_id limit p_devices + 1 for no key update) d;
  v_now := clock_timestamp();
  select coalesce(array_agg(claimable_key_package(d.user_id, d.device_id, p_suite) order by d.n), '{}'),
         coalesce(array_agg(
           case when p_hold > 0 and next_key_package(d.user_id, d.device_id, p_suite) is not null
                then next_claim_at(p_claimer, d.user_id, d.device_id, p_hold, p_most) end order by d.n), '{}')
    into v_refs, v_untils
    from unnest(v_users, v_devices) with ordinality d (user_id, device_id, n);

  -- What stands against each user, at each of its devices. Lists side by side need no join.
  select coalesce(array_agg(j.code order by j.n), '{}'), coalesce(array_agg(j.until order by j.n), '{}')
    into v_codes, v_untils
    from (
      select o.n, o.until,
        case when o.until is not null then 'rate-limited'
             when o.last > p_devices or o.so_far > p_bytes and o.so_far > o.bytes then 'left-over' end as code
      from (
        select d.n, d.until, max(d.n) over (partition by d.user_id) as last, sum(d.bytes) over (partition by d.user_id) as bytes,
               sum(d.bytes) filter (where d.until is null) over (order by d.user_id) as so_far
        from (
          select d.n, d.user_id, octet_length(k.key_package) as bytes,
                 max(d.until) filter (where d.until > v_now) over (partition by d.user_id) as until
          from unnest(v_users, v_devices, v_refs, v_untils) with ordinality d (user_id, device_id, ref, until, n)
          left join lateral (select key_package from key_package where ref = d.ref limit 1) k on true) d) o) j;
  select coalesce(jsonb_agg(jsonb_strip_nulls(to_jsonb(t))), '[]') into v_rest from (
    select distinct d.user_id, d.code, greatest(0, ceil(extract(epoch from d.until - v_now) * 1000)) as wait_ms
      from unnest(v_users, v_codes, v_untils) d (user_id, code, until) where d.code is not null
    union all select unnest(v_refused), 'consent-required', null
    -- Users behind the last device that fits.
    union all select u.user_id, 'left-over', null
      from (select unnest(p_users) as user_id except select unnest(v_refused)) u
      where cardinality(v_users) > p_devices and u.user_id > v_users[p_devices + 1] collate "C") t;
  select coalesce(array_agg(d.user_id order by d.n), '{}'), coalesce(array_agg(d.device_id order by d.n), '{}'),
         coalesce(array_agg(d.ref order by d.n), '{}')
    into v_users, v_devices, v_refs
    from unnest(v_users, v_devices, v_refs, v_codes) with ordinality d (user_id, device_id, ref, code, n) where d.code is null;
  v_rest := v_rest || (
    select coalesce(jsonb_agg(jsonb_build_object('user_id', d.user_id, 'device_id', d.device_id)), '[]')
    from unnest(v_users, v_devices, v_refs) d (user_id, device_id, ref) where d.ref is null);
  insert into group_claim (operation, user_id, users, rest, at)
    values (p_operation, p_claimer, cardinality(p_users), v_rest, v_now);
  return query
    select h.user_id, h.device_id, h.ref, h.key_package, h.last_resort, h.low, null::text, null::bigint
      from hand_out_key_packages(p_operation, p_claimer, p_conversation, p_low, true, v_users, v_devices, v_refs) h
    union all
    select r.user_id, null, null, null, null, false, r.code, r.wait_ms
      from jsonb_to_recordset(v_rest) r (user_id text, code text, wait_ms bigint) where r.code is not null;
  -- Behind devices and packages, as when a user is erased.
  perform request_consent(p_claimer, v_refused);
end $$;
