-- The deciding transaction: one call of decide() is one transaction. Its first statement locks the conversation's row;
-- everything else is read in later statements, because a statement's snapshot is older than the lock it waited for.
-- Operations are decided in their order; long runs of plain messages take a set-based branch.

create or replace function refusal(p_code text, p_details jsonb default '{}') returns jsonb
language sql immutable as $$ select jsonb_build_object('status', 'refused', 'code', p_code) || p_details $$;

create or replace function epoch_refusal(p_code text, p_current bigint, p_submitted bigint) returns jsonb
language sql immutable as $$
  select jsonb_build_object('status', 'refused', 'code', p_code, 'currentEpoch', p_current, 'submittedEpoch', p_submitted)
$$;

-- Null when the user is a current member, else how it is refused: former members hear where they left, others nothing.
create or replace function membership_refusal(p_found boolean, m member) returns jsonb
language sql immutable as $$
  select case
    when not p_found then refusal('not-found')
    when m.left_seq is not null then refusal('removed', jsonb_build_object('seq', m.left_seq))
  end
$$;

-- Null, or how writes are refused once another conversation took over.
create or replace function superseded_refusal(c conversation) returns jsonb
language sql immutable as $$
  select case when c.successor is not null then refusal('superseded', jsonb_build_object('successor', c.successor)) end
$$;

-- Null, or how somebody is refused who has no leaf in the group yet: a member of what a reset began, who can only join it.
create or replace function awaited_refusal(m member) returns jsonb
language sql immutable as $$
  select case when m.awaited then
    refusal('not-allowed', '{"detail": "You have no leaf in the group yet: join by your Welcome or by an external commit"}') end
$$;

create or replace function late(op jsonb) returns boolean
language sql volatile as $$
  select coalesce((op ->> 'notAfter')::bigint < extract(epoch from clock_timestamp()) * 1000, false)
$$;

create or replace function allows(p_who text, p_role text) returns boolean
language sql immutable as $$ select p_who = 'member' or (p_who = 'admin' and p_role = 'admin') $$;

-- The answer that an operation without an entry got before, or how another use of its id is refused; null = a new id.
create or replace function earlier_answer(c conversation, p_id text, p_kind text, p_actor text, p_fingerprint bytea, m member) returns jsonb
language sql stable as $$
  select case when o.kind = p_kind and o.actor = p_actor and o.fingerprint = p_fingerprint then o.answer || '{"status": "duplicate"}'
    else coalesce(membership_refusal(true, m), refusal('id-reused')) end
  from operation o where o.conversation = c.key and o.id = p_id
$$;
