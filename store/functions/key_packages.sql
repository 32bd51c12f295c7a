-- Key packages (RFC 9420 §10, §16.8). The row of a device is the lock of its pool: uploads, claims and resets of one device
-- take turns, and whoever needs several devices of a user locks them in the order of their ids.

-- Withdraws what no commit has used yet, but for p_keep: what is in the pool, the last resort, and what was handed out.
create or replace function replace_key_packages(p_user text, p_device text, p_keep bytea[]) returns void
language sql volatile as $$
  update key_package set replaced_at = clock_timestamp()
    where user_id = p_user and device_id = p_device and claimed_at is null and replaced_at is null and not last_resort
      and ref <> all (p_keep);
  update key_package set replaced_at = clock_timestamp()
    where user_id = p_user and device_id = p_device and last_resort and replaced_at is null and ref <> all (p_keep);
  update key_package set replaced_at = clock_timestamp()
    where user_id = p_user and device_id = p_device and claimed_at is not null and used_at is null and replaced_at is null
      and not last_resort and ref <> all (p_keep);
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
-- any effect {foreign: [positions from 1]} for packages that another device stored, or {full: true} above p_limit.
create or replace function upload_key_packages(p_user text, p_device text, p_refs bytea[], p_packages bytea[], p_suites int[],
                                    p_not_after timestamptz[], p_last_resort boolean[], p_replace boolean, p_limit int,
                                    p_low int) returns jsonb
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
    where k.user_id <> p_user or k.device_id <> p_device order by i.n);
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
  insert into key_package (ref, user_id, device_id, cipher_suite, key_package, last_resort, not_after)
    select i.ref, p_user, p_device, i.cipher_suite, i.key_package, i.last_resort, i.not_after
    from unnest(p_refs, p_packages, p_suites, p_not_after, p_last_resort)
         with ordinality i (ref, key_package, cipher_suite, not_after, last_resort, n)
    order by i.n
    on conflict (ref) do nothing;
  get diagnostics v_stored = row_count;
  v_available := count_available(p_user, p_device, 2147483647);
  if v_available >= p_low then
    update device set low_stock_at = null where user_id = p_user and device_id = p_device and low_stock_at is not null;
  end if;
  return jsonb_build_object('stored', v_stored, 'duplicates', cardinality(p_refs) - v_stored, 'available', v_available);
end $$;

-- Hands out one package of each device of p_user (null: of all that are known; never of the claimer's own device), the
-- oldest that is usable, for good; the last resort once there is none. One row for each device: without a ref it is
-- exhausted; `low` = this claim took its pool below p_low. A claimer that has used up p_rate packages a minute (0 = no
-- limit) gets a single row with the time to wait. One that holds p_hold unused packages of a device from the last 24 hours
-- gets no more from its pool: nobody drains the pool of another.
create or replace function claim_key_packages(p_claimer text, p_claimer_device text, p_user text, p_devices text[], p_suite int,
                                   p_conversation text, p_rate int, p_hold int, p_low int)
returns table (device text, ref bytea, key_package bytea, last_resort boolean, low boolean, wait_ms bigint)
language plpgsql as $$
#variable_conflict use_column
declare
  v_devices text[];
  v_device text;
  v_count int;
  -- a variable, because an index cannot be searched by a volatile function
  v_now timestamptz;
  v_oldest timestamptz;
  v_held jsonb;
  k key_package;
  v_low boolean;
begin
  -- One claim of a claimer at a time, in whatever process: else its limits would be judged on what each saw of the others.
  if p_rate > 0 then perform pg_advisory_xact_lock(hashtextextended('claims of ' || p_claimer, 0)); end if;
  v_devices := array(
    select d.device_id from device d
    where d.user_id = p_user and (p_devices is null or d.device_id = any (p_devices))
      and not (p_user = p_claimer and d.device_id = p_claimer_device)
    order by d.device_id for no key update);
  v_now := clock_timestamp();
  if p_rate > 0 then
    select count(*), min(c.at) into v_count, v_oldest from claim c
      where c.user_id = p_claimer and c.at > v_now - interval '1 minute';
    if v_count > 0 and v_count + cardinality(v_devices) > p_rate then
      return query select null, null::bytea, null::bytea, null::boolean, null::boolean,
        greatest(0, ceil(extract(epoch from v_oldest + interval '1 minute' - v_now) * 1000))::bigint;
      return;
    end if;
    -- The newest 5000 claims are looked at, so that a claim of one who adds thousands a day stays cheap.
    select jsonb_object_agg(h.device_id, h.n) into v_held from (
      select x.device_id, count(*) as n
      from (select c.ref from claim c where c.user_id = p_claimer and c.at > v_now - interval '24 hours'
            order by c.at desc limit 5000) c
      cross join lateral (
        select y.device_id from key_package y
        where y.ref = c.ref and y.user_id = p_user and not y.last_resort and y.used_at is null and y.replaced_at is null
        limit 1) x
      group by x.device_id) h;
  end if;

  foreach v_device in array v_devices loop
    k := null;
    if coalesce((v_held ->> v_device)::int, 0) < p_hold then
      update key_package y set claimed_at = clock_timestamp() where y.ref = (
        select x.ref from key_package x
        where x.user_id = p_user and x.device_id = v_device and x.claimed_at is null and x.replaced_at is null
          and not x.last_resort and x.not_after > v_now and (p_suite is null or x.cipher_suite = p_suite)
        order by x.uploaded_at, x.ref limit 1)
      returning y.* into k;
    end if;
    if k.ref is null then
      select x.* into k from key_package x
        where x.user_id = p_user and x.device_id = v_device and x.last_resort and x.replaced_at is null
          and x.not_after > v_now and (p_suite is null or x.cipher_suite = p_suite)
        order by x.uploaded_at desc limit 1;
    end if;
    if k.ref is not null then
      insert into claim (ref, user_id, conversation) values (k.ref, p_claimer, p_conversation)
        on conflict (ref, user_id, conversation) do update set at = clock_timestamp();
    end if;
    v_low := false;
    if count_available(p_user, v_device, p_low) < p_low then
      update device d set low_stock_at = clock_timestamp()
        where d.user_id = p_user and d.device_id = v_device and d.low_stock_at is null;
      v_low := found;
    end if;
    return query select v_device, k.ref, k.key_package, k.last_resort, v_low, null::bigint;
  end loop;
end $$;
