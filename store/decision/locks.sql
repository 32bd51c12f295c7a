-- How a decision gets the lock of its conversation (docs/explanation/locks.md). Null = somebody else has it.

-- Decides if the lock is free now. Never waits for it.
create or replace function try_decide(p_id text, p_ops jsonb, p_bytes bytea[]) returns jsonb
language plpgsql as $$
declare
  c conversation;
begin
  select * into c from conversation where id = p_id for no key update skip locked;
  if not found and exists (select from conversation where id = p_id) then return null; end if;
  return decide_locked(c, p_ops, p_bytes);
end $$;

-- The same for many conversations in one transaction. p_ops: a list of operations for each id, all with their bytes in p_bytes.
-- Returns a list of decisions; null for each conversation that somebody else has locked.
-- Each conversation is locked and decided before the next one is locked. No lock of a conversation is waited for, so two calls with
-- the same conversations, in whatever order, neither wait for each other nor end in a deadlock. What else a small batch may have to
-- wait for ends the call soon: then its conversations are decided by calls of their own.
create or replace function decide_many(p_ids text[], p_ops jsonb, p_bytes bytea[]) returns jsonb
language plpgsql set lock_timeout = '300ms' as $$
declare
  v_decisions jsonb[] := '{}';
begin
  for i in 1..cardinality(p_ids) loop
    v_decisions := array_append(v_decisions, try_decide(p_ids[i], p_ops -> (i - 1), p_bytes));
  end loop;
  return to_jsonb(v_decisions);
end $$;

-- Decides after it has waited for the lock for a short time.
create or replace function decide_waiting(p_id text, p_ops jsonb, p_bytes bytea[]) returns jsonb
language plpgsql as $$
begin
  if not lock_conversation(p_id) then return null; end if;
  return decide(p_id, p_ops, p_bytes);
end $$;

-- Locks the row of a conversation for the transaction, after a short wait; true also when there is no such conversation. False =
-- somebody else keeps it. The short time limit holds for this lock only.
create or replace function lock_conversation(p_id text) returns boolean
language plpgsql set lock_timeout = '300ms' as $$
begin
  perform from conversation where id = p_id for no key update;
  return true;
exception when lock_not_available then
  return false;
end $$;

-- The same for a statement that is tried again as a whole.
create or replace function expect_lock(p_id text) returns void
language plpgsql as $$
begin
  if not lock_conversation(p_id) then
    raise exception 'the conversation is locked' using errcode = 'lock_not_available';
  end if;
end $$;
