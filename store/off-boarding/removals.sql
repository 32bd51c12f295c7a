-- Removals: leaves that the service wants removed from a group (table `removal`). It proposes that to the members as an external
-- sender (RFC 9420 §12.1.8.1), again in each epoch, until a commit obeys.

-- Writes the proposals of an epoch into the log, unless the epoch has ended or somebody else wrote them. p_ids, p_sha256 and
-- p_bytes: one for each leaf; none = the service cannot propose, so members are told once by an event.
-- Returns {lastSeq} if streams have something new, else null.
create or replace function propose_removal(p_id text, p_user text, p_device text, p_epoch bigint, p_ids text[], p_sha256 bytea[],
                                           p_bytes bytea[]) returns jsonb
language plpgsql as $$
declare
  c conversation;
  r removal;
  v_seqs bigint[] := '{}';
begin
  perform expect_lock(p_id);
  select * into c from conversation where id = p_id;
  select * into r from removal where conversation = c.key and user_id = p_user and device_id = p_device and done_at is null;
  if r.user_id is null then return null; end if;
  if c.deleted_at is not null or c.successor is not null then
    -- Nothing happens here any more. A successor never had the leaves.
    update removal set done_at = clock_timestamp() where conversation = c.key and done_at is null;
    return null;
  end if;
  if c.epoch <> p_epoch or r.epoch = p_epoch then return null; end if;
  if c.chain is null then c := begin_chain(c); end if;
  for i in 1..cardinality(p_ids) loop
    c.last_seq := c.last_seq + 1;
    c.chain := chain_after(c.chain, c.last_seq, 'proposal', c.epoch, p_sha256[i]);
    c.last_at := greatest(c.last_at, clock_timestamp());
    insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, app_count, at, verified, chain)
      values (c.key, c.last_seq, 'proposal', c.epoch, p_ids[i], p_sha256[i], p_bytes[i], c.app_count, c.last_at, true, c.chain);
    v_seqs := v_seqs || c.last_seq;
  end loop;
  update removal set epoch = c.epoch, proposals = v_seqs, wanted = r.wanted or cardinality(p_ids) = 0
    where conversation = c.key and user_id = p_user and device_id = p_device;
  if cardinality(p_ids) > 0 then
    c.due_at := due_after(c);
    perform save_conversation(c);
  elsif not r.wanted then
    perform record_change(c, 'removal-wanted', jsonb_strip_nulls(jsonb_build_object('user', p_user, 'device', nullif(p_device, ''))));
  else
    return null;
  end if;
  return jsonb_build_object('lastSeq', c.last_seq);
end $$;

-- Whether leaves of the conversation should go.
create or replace function has_removals(p_conversation bigint) returns boolean
language sql stable as $$ select exists (select from removal where conversation = p_conversation and done_at is null) $$;

-- Null when a commit may come although removals are overdue: it obeys all of them. A commit obeys when its checked tree lacks the
-- leaves; where no tree came with it, when it names the user. An external commit is exempt: who joins has not seen the proposals.
create or replace function removal_pending_refusal(c conversation, op jsonb, p_removes text[], p_leaves text[]) returns jsonb
language plpgsql stable as $$
declare
  v_deadline interval := make_interval(hours => coalesce((c.policy ->> 'removalDeadlineHours')::int, default_removal_hours()));
  v_users text[];
  v_proposals bigint[];
begin
  if op ? 'external' then return null; end if;
  select array_agg(distinct r.user_id), coalesce(array_agg(distinct s.seq) filter (where s.seq is not null), '{}')
    into v_users, v_proposals
    from disobeyed_removals(c, op, p_removes, p_leaves) d
    join removal r on r.conversation = c.key and r.user_id = d.user_id and r.device_id = d.device_id
    left join lateral unnest(case when r.epoch = c.epoch then r.proposals end) s (seq) on true
    where r.since + v_deadline <= clock_timestamp();
  return case when v_users is not null then
    refusal('removal-pending', jsonb_build_object('proposals', v_proposals, 'users', v_users)) end;
end $$;

-- Removals that a commit does not obey.
create or replace function disobeyed_removals(c conversation, op jsonb, p_removes text[], p_leaves text[])
returns table (user_id text, device_id text)
language plpgsql stable as $$
begin
  return query
    with open as (
      -- Where the service sees no trees, nothing can show that the leaves of a device are gone.
      select r.user_id, r.device_id from removal r where r.conversation = c.key and r.done_at is null
        and (r.device_id = '' or not r.wanted or cardinality(r.proposals) > 0)
    ), staying as (
      -- A checked tree says who is still there. Without one the request does, and what it says to keep (op.kept) stays.
      select o.user_id from open o where p_leaves is null except (select unnest(p_removes) except select unnest(json_texts(op -> 'kept')))
      union
      (select o.user_id from open o intersect select unnest(p_leaves))
    ), leaves as (
      select p.user_id, p.device_id, p.leaf from pending_removal p
      where p.conversation = c.key and p.reason = 'off-boarding' and p.leaf <> ''
    ), left_over as (
      select l.leaf from leaves l except select unnest(hex_list(op -> 'goneLeaves'))
    )
    select o.user_id, o.device_id from open o where o.user_id in (select s.user_id from staying s)
      and (o.device_id = '' or exists (
        select from leaves l where l.user_id = o.user_id and l.device_id = o.device_id and l.leaf in (select x.leaf from left_over x)));
end $$;

-- After a commit: removals whose leaves are gone are done, and the others are proposed anew in its epoch. A user whose pending
-- removal ended another way (it was added again) is not removed after that. A member who has lost its last leaf joins again by itself.
create or replace function settle_removals(c conversation, p_leaves text[]) returns void
language plpgsql as $$
begin
  if p_leaves is not null then
    update member set awaited = true where conversation = c.key and user_id = any (array(
      select unnest(members_losing_last_leaf(c.key)) except select unnest(p_leaves)));
  end if;
  update removal r set epoch = null, tried_at = null,
      done_at = case when not exists (
          select from member where r.device_id = '' and conversation = c.key and user_id = r.user_id and leaving)
        and not exists (
          select from pending_removal p where r.device_id <> '' and p.conversation = c.key and p.user_id = r.user_id
            and p.reason = 'off-boarding' and p.device_id = r.device_id) then c.last_at end
    where conversation = c.key and done_at is null;
end $$;

-- Members all of whose known leaves should go with their devices: a tree may lack them, although they stay members.
create or replace function members_losing_last_leaf(p_conversation bigint) returns text[]
language sql stable as $$
  select array(
    select r.user_id from removal r
    cross join lateral (select left_seq from member where conversation = p_conversation and user_id = r.user_id limit 1) m
    where r.conversation = p_conversation and r.done_at is null and r.device_id <> '' and m.left_seq is null
      and not exists (
        select from device_leaf d where d.user_id = r.user_id and d.conversation = p_conversation and not exists (
          select from pending_removal p where p.conversation = p_conversation and p.user_id = r.user_id
            and p.reason = 'off-boarding' and p.leaf = d.leaf)))
$$;

-- Users who lose all leaves by a commit that does not name them, without those whose last leaf should go.
create or replace function users_dropped(p_conversation bigint, op jsonb) returns text[]
language plpgsql stable as $$
begin
  if not op ? 'dropped' then return '{}'; end if;
  return array(select unnest(json_texts(op -> 'dropped')) except select unnest(members_losing_last_leaf(p_conversation)));
end $$;

-- Users who lose all leaves by a commit that does not name them, and not only leaves that should go: a removal of one device is no
-- pretext to take out the others, which the service may not know. Who left before is in no question.
create or replace function users_losing_too_much(p_conversation bigint, op jsonb) returns text[]
language sql stable as $$
  select array(
    select d ->> 'user' from jsonb_array_elements(op -> 'droppedUsers') d
    where exists (
      select unnest(hex_list(d -> 'leaves')) except select leaf from pending_removal where conversation = p_conversation))
$$;

-- Takes removals that wait for their proposals, and keeps other processes away from them for some seconds. Waits for no lock.
create or replace function take_removals(p_limit int, p_seconds int)
returns table (conversation text, user_id text, device_id text)
language sql volatile as $$
  with waiting as (
    select r.conversation, r.user_id, r.device_id from removal r
    where r.done_at is null and r.epoch is null
      and (r.tried_at is null or r.tried_at < clock_timestamp() - make_interval(secs => p_seconds))
    order by r.tried_at nulls first limit p_limit for update skip locked
  ), taken as (
    update removal r set tried_at = clock_timestamp() from waiting w
    where r.conversation = w.conversation and r.user_id = w.user_id and r.device_id = w.device_id
    returning r.conversation, r.user_id, r.device_id
  )
  select c.id, t.user_id, t.device_id from taken t
  cross join lateral (select id from conversation where key = t.conversation limit 1) c
$$;
