-- Positions (docs/reference/log-chain.md): whether a reader has this log, or another one. A position is a seq with a mark, the first
-- 12 bytes of the value of the chain there. It is judged by position_verdict() and nowhere else, always in the statement that reads
-- or decides.

-- The mark of a value: base64url of its first 12 bytes.
create or replace function position_mark(p_chain bytea) returns text
language sql immutable as $$ select translate(encode(substring(p_chain for 12), 'base64'), '+/', '-_') $$;

-- The rule: `restarted` = this log does not go on from there, because it was cut or changed; `equal` = it does; `unknown` = the two
-- cannot be compared, which is no alarm.
-- p_mark: null = a plain seq. p_head: the last entry that the reader may read. p_oldest: the oldest kept entry. p_base: entries up to
-- here are older than the chain, and the value of a base says nothing of them. p_inside: the reader may read the entry p_seq, or the one
-- after it. p_value: value of the chain at p_seq; null = there is none.
-- The planner puts this one expression in the place of a call, as long as p_inside and p_value stand in it once.
create or replace function position_verdict(p_seq bigint, p_mark text, p_head bigint, p_oldest bigint, p_base bigint, p_inside boolean,
  p_value bytea) returns text
language sql immutable as $$
  select case
    when p_seq > p_head then 'restarted'
    when p_mark is null or p_seq < p_oldest - 1 or (p_base > 0 and p_seq <= p_base) or not p_inside then 'unknown'
    else case position_mark(p_value) = p_mark when true then 'equal' when false then 'restarted' else 'unknown' end
  end
$$;

-- The verdict for a user who is or was a member. For others there is nothing to compare.
create or replace function judge_position(c conversation, m member, p_seq bigint, p_mark text) returns text
language plpgsql stable as $$
begin
  if m.user_id is null then return 'unknown'; end if;
  return position_verdict(p_seq, p_mark, coalesce(m.left_seq, c.last_seq), c.oldest_seq, c.chain_base,
    m.left_seq is null and p_seq >= m.joined_seq - 1 or in_period(c.key, m.user_id, p_seq), case p_seq
      when c.last_seq then c.chain
      when c.oldest_seq - 1 then c.oldest_chain
      else (select chain from entry where conversation = c.key and seq = p_seq) end);
end $$;

-- Whether a user may read the entry p_seq, or the one after it: then it is given the value of the chain at p_seq.
create or replace function in_period(p_conversation bigint, p_user text, p_seq bigint) returns boolean
language plpgsql stable as $$
begin
  return (select true from period
    where conversation = p_conversation and user_id = p_user and from_seq <= p_seq + 1 and (to_seq is null or to_seq >= p_seq)
    limit 1) is not null;
end $$;

-- What a reader learns of a log that does not go on from its position. p_head: as above, so a former member learns nothing newer.
create or replace function log_restarted_refusal(p_head bigint, p_oldest bigint) returns jsonb
language sql immutable as $$
  select refusal('log-restarted', jsonb_build_object('lastSeq', p_head, 'oldestSeq', least(p_oldest, p_head + 1)))
$$;

-- Null when the log goes on from the position that an operation states. op: with {position: `<seq>.<mark>`, or a plain seq}.
create or replace function position_refusal(c conversation, m member, op jsonb) returns jsonb
language plpgsql stable as $$
begin
  return case judge_position(c, m, split_part(op ->> 'position', '.', 1)::bigint, nullif(split_part(op ->> 'position', '.', 2), ''))
    when 'restarted' then log_restarted_refusal(coalesce(m.left_seq, c.last_seq), c.oldest_seq) end;
end $$;
