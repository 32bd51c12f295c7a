-- A run of application messages by one statement: the set-based branch of decide(). It answers exactly as admit() and
-- decide_message() do one by one; `verdict` repeats the order of checks of admit.sql.
-- Null when an id is in the run twice, or the conversation has a successor or an epoch on trial: then the run is decided one by one.
-- `limit 1` and lists of keys (`any (array(..))`) make every look-up one by key, where a join might read all members.
create or replace function decide_messages(inout c conversation, p_ops jsonb, p_bytes bytea[], out results jsonb)
language plpgsql as $$
declare
  v_at timestamptz := greatest(c.last_at, clock_timestamp());
  v_now bigint := extract(epoch from clock_timestamp()) * 1000;
  v_oldest bigint := c.epoch - (c.policy ->> 'epochWindow')::int;
  v_accepted int;
  -- places of the last ones that wake devices, among those accepted
  v_push bigint;
  v_push_high bigint;
  v_chain bytea;
begin
  if c.successor is not null or c.trial_seq is not null then return; end if;
  if (select count(distinct o ->> 'id') < jsonb_array_length(p_ops) from jsonb_array_elements(p_ops) o) then return; end if;
  with op as (
    select i.n, i.id, decode(i.sha256, 'hex') as sha, decode(i.delete_hash, 'hex') as delete_hash, i.not_after, i.push,
           split_part(i.position, '.', 1)::bigint as read_seq, nullif(split_part(i.position, '.', 2), '') as read_mark,
           case when i.body is null then i.actor else s.user_id end as actor,
           coalesce(case when i.body is null then i.epoch else s.epoch end, c.epoch) as epoch,
           case when i.body is null then p_bytes[(i.bytes ->> 'ciphertext')::int] else s.ciphertext end as ciphertext
    from rows from (jsonb_to_recordset(p_ops) as (id text, sha256 text, body bigint, actor text, epoch bigint,
                                                  bytes jsonb, "notAfter" bigint, push text, "deleteHash" text, position text))
         with ordinality as i (id, sha256, body, actor, epoch, bytes, not_after, push, delete_hash, position, n)
    left join lateral (select user_id, epoch, ciphertext from staged
      where key = i.body and conversation = c.key limit 1) s on true
  ), judged as (
    select o.*, e.seq as first_seq, e.epoch as first_epoch, e.chain as first_chain, coalesce(m.left_seq, c.last_seq) as left_seq, m.pending_join,
      case
        when o.actor is not null and m.user_id is null then 'not-found'
        when o.read_seq is not null and o.actor is not null and position_verdict(o.read_seq, o.read_mark,
          coalesce(m.left_seq, c.last_seq), c.oldest_seq, c.chain_base,
          m.left_seq is null and o.read_seq >= m.joined_seq - 1 or in_period(c.key, o.actor, o.read_seq),
          case o.read_seq when c.last_seq then c.chain when c.oldest_seq - 1 then c.oldest_chain
            else (select chain from entry where conversation = c.key and seq = o.read_seq) end) = 'restarted' then 'log-restarted'
        when e.kind = 'application' and e.sha256 = o.sha and e.delete_hash is not distinct from o.delete_hash
             and (e.sender is null or o.actor is null or e.sender = o.actor) then 'duplicate'
        when e.seq is not null then case when m.left_seq is null then 'id-reused' else 'removed' end
        when o.actor is null or o.ciphertext is null then 'body-missing'
        when m.left_seq is not null or (
          select true from off_boarding where user_id = o.actor and device_id = '' and ended_at is null limit 1) then 'removed'
        when o.not_after < v_now then 'deadline'
        when m.pending_join is not null then 'pending-join'
        when o.epoch > c.epoch then 'epoch-ahead'
        when o.epoch < v_oldest then 'epoch-too-old'
        else 'accepted'
      end as verdict
    from op o
    left join lateral (select user_id, left_seq, joined_seq, pending_join_refusal(awaited) as pending_join from member
      where conversation = c.key and user_id = o.actor limit 1) m on true
    left join lateral (select seq, epoch, kind, sha256, sender, chain, delete_hash from entry
      where conversation = c.key and message_id = o.id limit 1) e on true
  ), ranked as (
    select *, count(*) filter (where verdict = 'accepted') over (order by n rows unbounded preceding) as rank from judged
  ), numbered as materialized (
    select *, chain_over(c.chain, chain_part(c.last_seq + rank, 'application', epoch, sha)) filter (where verdict = 'accepted')
      over (order by n rows unbounded preceding) as chain from ranked
  ), stored as (
    insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, at, chain, delete_hash)
    select c.key, c.last_seq + rank, 'application', epoch, id, sha, ciphertext,
           case when c.protocol = 'opaque' then actor end, c.app_count + rank, v_at, chain, delete_hash
    from numbered where verdict = 'accepted'
  ), marked as (
    -- Of the messages of a sender the last one counts: of equal keys an object keeps the last value.
    update member m set read_seq = c.last_seq + (s.ranks ->> m.user_id)::bigint,
        read_count = c.app_count + (s.ranks ->> m.user_id)::bigint, proven_at = coalesce(m.proven_at, v_at)
    from (select jsonb_object_agg(actor, rank order by n) as ranks from numbered where verdict = 'accepted') s
    where m.conversation = c.key and m.user_id = any (array(select actor from numbered where verdict = 'accepted'))
  ), unstaged as (
    delete from staged s using jsonb_to_recordset(p_ops) as i (body bigint) where s.key = i.body and s.conversation = c.key
  )
  select jsonb_agg(
      case verdict
        when 'accepted' then jsonb_build_object('status', 'accepted', 'seq', c.last_seq + rank, 'epoch', epoch)
          -- The values of those that follow are computed from the first (store/log/chain.ts).
          || case when rank = 1 then chain_fact(chain) else '{}' end
        -- The staged row is gone: an earlier run of this very operation took it, and its answer is repeated.
        when 'duplicate' then jsonb_build_object('status', case when actor is null then 'accepted' else verdict end,
          'seq', first_seq, 'epoch', first_epoch)
          || chain_fact(first_chain)
        when 'removed' then refusal('removed', jsonb_build_object('seq', left_seq))
        when 'log-restarted' then log_restarted_refusal(left_seq, c.oldest_seq)
        when 'pending-join' then pending_join
        when 'epoch-ahead' then epoch_refusal(verdict, c.epoch, epoch)
        when 'epoch-too-old' then epoch_refusal(verdict, c.epoch, epoch)
        else refusal(verdict)
      end order by n),
    count(*) filter (where verdict = 'accepted'),
    max(rank) filter (where verdict = 'accepted' and push is distinct from 'none'),
    max(rank) filter (where verdict = 'accepted' and push = 'high'),
    -- the running value of the last message
    max(chain) filter (where n = jsonb_array_length(p_ops))
  into results, v_accepted, v_push, v_push_high, v_chain
  from numbered;

  if v_accepted > 0 then
    c.push_high_seq := greatest(c.push_high_seq, c.last_seq + v_push_high);
    if v_push is not null then
      c.push_seq := c.last_seq + v_push;
      c.push_at := v_at;
    end if;
    c.last_seq := c.last_seq + v_accepted;
    c.chain := v_chain;
    c.app_count := c.app_count + v_accepted;
    c.last_at := v_at;
    c.due_at := due_after(c);
  end if;
end $$;
