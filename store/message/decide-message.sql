-- One message or proposal, admitted. A leave stores its proposal by this too.
create or replace function decide_message(inout c conversation, op jsonb, p_ciphertext bytea, out result jsonb)
language plpgsql as $$
declare
  v_actor text := op ->> 'actor';
  v_type text := case when op ->> 'type' = 'proposal' then 'proposal' else 'application' end;
  v_epoch bigint := coalesce((op ->> 'epoch')::bigint, c.epoch);
  v_sha256 bytea := decode(op ->> 'sha256', 'hex');
begin
  if v_type = 'proposal' and op ->> 'kind' <> 'leave' then
    result := proposal_limit_refusal(c, v_actor);
    if result is not null then return; end if;
  end if;
  c.last_seq := c.last_seq + 1;
  c.chain := chain_after(c.chain, c.last_seq, v_type, v_epoch, v_sha256);
  c.last_at := greatest(c.last_at, clock_timestamp());
  c.due_at := due_after(c);
  if v_type = 'application' then
    c.app_count := c.app_count + 1;
    -- Sending counts as having read (invariant 7). A client may send proposals unseen by its user.
    update member set read_seq = c.last_seq, read_count = c.app_count, proven_at = coalesce(proven_at, c.last_at)
      where conversation = c.key and user_id = v_actor;
    if op ->> 'push' is distinct from 'none' then
      c.push_seq := c.last_seq;
      c.push_at := c.last_at;
      if op ->> 'push' = 'high' then c.push_high_seq := c.last_seq; end if;
    end if;
  else
    perform prove_member(c, v_actor);
  end if;
  if c.trial_seq is not null then c := end_trial_by(c, v_actor, v_epoch); end if;
  insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, at, verified, chain, delete_hash)
    values (c.key, c.last_seq, v_type, v_epoch, op ->> 'id', v_sha256, p_ciphertext,
            case when c.protocol = 'opaque' or v_type = 'proposal' then v_actor end, c.app_count, c.last_at,
            (op ->> 'verified')::boolean, c.chain, decode(op ->> 'deleteHash', 'hex'));
  result := jsonb_build_object('status', 'accepted', 'seq', c.last_seq, 'epoch', v_epoch, 'chain', encode(c.chain, 'base64'));
end $$;

-- Null when an application entry of epoch e may be stored now (invariant 4).
create or replace function application_epoch_refusal(c conversation, e bigint) returns jsonb
language sql immutable as $$
  select case
    when e > c.epoch then epoch_refusal('epoch-ahead', c.epoch, e)
    when e < c.epoch - (c.policy ->> 'epochWindow')::int then epoch_refusal('epoch-too-old', c.epoch, e)
  end
$$;

-- Null when the policy lets the member propose.
create or replace function propose_policy_refusal(c conversation, m member) returns jsonb
language sql immutable as $$
  select case when not allows(c.policy ->> 'whoMayPropose', m.role) then refusal('not-allowed') end
$$;

-- Null when a proposal of epoch e may be stored now: it belongs to the current epoch.
create or replace function proposal_epoch_refusal(c conversation, e bigint) returns jsonb
language sql immutable as $$
  select case
    when e > c.epoch then epoch_refusal('epoch-ahead', c.epoch, e)
    when e < c.epoch then epoch_refusal('proposal-stale', c.epoch, e)
  end
$$;

-- Null when the user may send one more proposal in this epoch.
create or replace function proposal_limit_refusal(c conversation, p_user text) returns jsonb
language plpgsql stable as $$
begin
  if (select count(*) >= max_proposals_per_epoch() from entry
      where conversation = c.key and kind = 'proposal' and sender = p_user and seq > c.last_commit_seq) then
    return refusal('rate-limited', jsonb_build_object('detail',
      format('At most %s proposals of a user in an epoch: the next commit makes room', max_proposals_per_epoch())));
  end if;
  return null;
end $$;

-- When the timer next has work, after an entry at c.last_at: this entry becomes old later than everything that the timer
-- already waits for.
create or replace function due_after(c conversation) returns timestamptz
language sql stable as $$
  select least(c.due_at, c.last_at + make_interval(days => (c.policy ->> 'retentionDays')::int))
$$;
