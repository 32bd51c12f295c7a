-- The chain over the log (docs/reference/log-chain.md): the value of an entry is a hash over the value before it and over what the
-- entry says, so one value stands for the whole log up to it. The values are written by the deciding transaction, under the lock of
-- the conversation.
--
-- conversation.chain: value of the newest entry; null = the conversation is older than the chain, and nothing was decided since.
-- conversation.chain_base: entries up to here have no value, because they are older than the chain; 0 = all entries have one.
-- conversation.oldest_chain: value before the oldest kept entry; null = there is none.

-- The value before the first entry. p_id: base64url of the group_id; p_epoch: in which the log begins.
create or replace function chain_origin(p_id text, p_protocol text, p_epoch bigint) returns bytea
language sql immutable as $$
  select sha256('parley log v1'::bytea || set_byte('\x00', 0, octet_length(g)) || g
    || case p_protocol when 'mls' then '\x01'::bytea else '\x02' end || int8send(p_epoch))
  from (select decode(rpad(translate(p_id, '-_', '+/'), (length(p_id) + 3) / 4 * 4, '='), 'base64') as g) i
$$;

-- What an entry adds to the value before it.
create or replace function chain_part(p_seq bigint, p_kind text, p_epoch bigint, p_sha256 bytea) returns bytea
language sql immutable as $$
  select int8send(p_seq) || case p_kind when 'application' then '\x01'::bytea when 'commit' then '\x02' else '\x03' end
    || int8send(p_epoch) || p_sha256
$$;

-- The value of an entry.
create or replace function chain_after(p_before bytea, p_seq bigint, p_kind text, p_epoch bigint, p_sha256 bytea) returns bytea
language sql immutable as $$ select sha256('\x01'::bytea || p_before || chain_part(p_seq, p_kind, p_epoch, p_sha256)) $$;

-- The values of entries in a row: chain_over(value before the first, chain_part(..)) over (order by seq).
create or replace function chain_step(p_state bytea, p_before bytea, p_part bytea) returns bytea
language plpgsql immutable as $$
begin
  return sha256('\x01'::bytea || coalesce(p_state, p_before) || p_part);
end $$;
create or replace aggregate chain_over(bytea, bytea) (sfunc = chain_step, stype = bytea);

-- Begins the chain of a conversation that is older than it. The epoch in which its log began is that of somebody who was there from
-- the beginning; where nobody of them is known any more it is the current one.
create or replace function begin_chain(inout c conversation)
language plpgsql as $$
begin
  c.chain_base := c.last_seq;
  c.base_epoch := coalesce((select joined_epoch from member where conversation = c.key and joined_seq = 0 limit 1), c.epoch);
  c.chain := chain_of_base(c);
  if c.oldest_seq > c.last_seq then c.oldest_chain := c.chain; end if;
end $$;

-- The value after the last entry that has none itself.
create or replace function chain_of_base(c conversation) returns bytea
language sql immutable as $$
  select case c.chain_base
    when 0 then chain_origin(c.id, c.protocol, c.base_epoch)
    else sha256('parley base v1'::bytea || chain_origin(c.id, c.protocol, c.base_epoch) || int8send(c.chain_base))
  end
$$;

-- The value of the entry p_seq, or of the place before the oldest kept entry; null = there is none.
create or replace function chain_at(c conversation, p_seq bigint) returns bytea
language plpgsql stable as $$
begin
  return case
    when p_seq = c.last_seq then c.chain
    when p_seq = c.oldest_seq - 1 then c.oldest_chain
    when p_seq = c.chain_base and p_seq >= c.oldest_seq then chain_of_base(c)
    else (select chain from entry where conversation = c.key and seq = p_seq)
  end;
end $$;

-- The value as a field of an answer: {chain}; {} = there is none.
create or replace function chain_fact(p_chain bytea) returns jsonb
language sql immutable as $$
  select case when p_chain is null then '{}' else jsonb_build_object('chain', encode(p_chain, 'base64')) end
$$;
