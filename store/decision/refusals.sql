-- How an operation is refused: the JSON form of `Refused` in domain/outcome.ts.

create or replace function refusal(p_code text, p_details jsonb default '{}') returns jsonb
language sql immutable as $$ select jsonb_build_object('status', 'refused', 'code', p_code) || p_details $$;

create or replace function epoch_refusal(p_code text, p_current bigint, p_submitted bigint) returns jsonb
language sql immutable as $$
  select jsonb_build_object('status', 'refused', 'code', p_code, 'currentEpoch', p_current, 'submittedEpoch', p_submitted)
$$;

-- Null for a current member. A former member learns with which entry its membership ended.
create or replace function removed_refusal(p_left_seq bigint) returns jsonb
language sql immutable as $$
  select case when p_left_seq is not null then refusal('removed', jsonb_build_object('seq', p_left_seq)) end
$$;

-- Null for an admin.
create or replace function admin_refusal(m member) returns jsonb
language sql immutable as $$ select case when m.role <> 'admin' then refusal('not-allowed') end $$;

-- Null when the member has a leaf in the group. A member that a reset copied from the predecessor has none yet.
create or replace function pending_join_refusal(p_pending boolean) returns jsonb
language sql immutable as $$
  select case when p_pending then
    refusal('not-allowed', '{"detail": "You have no leaf in the group yet: join by your Welcome or by an external commit"}') end
$$;

-- Whether the operation came later than its `notAfter` (invariant 11).
create or replace function past_deadline(op jsonb) returns boolean
language sql volatile as $$
  select coalesce((op ->> 'notAfter')::bigint < extract(epoch from clock_timestamp()) * 1000, false)
$$;

-- Whether a rule of the policy (`admin`, `member` or `nobody`) holds for a role.
create or replace function allows(p_who text, p_role text) returns boolean
language sql immutable as $$ select p_who = 'member' or (p_who = 'admin' and p_role = 'admin') $$;
