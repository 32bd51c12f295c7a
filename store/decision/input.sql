-- What an operation brings beside its small facts: in the workflow path it stands in a staged row, in the direct path in the
-- operation and its bytes. `actor` is null when the staged row is gone: an earlier run decided it, or a sweep took it.
create or replace function operation_input(c conversation, op jsonb, p_bytes bytea[], out actor text, out epoch bigint,
                                out ciphertext bytea, out welcome bytea, out group_info bytea, out request jsonb)
language plpgsql as $$
begin
  if op ? 'body' then
    select s.user_id, s.epoch, s.ciphertext, s.welcome, s.group_info, coalesce(s.request, '{}')
      into actor, epoch, ciphertext, welcome, group_info, request
      from staged s where s.key = (op ->> 'body')::bigint and s.conversation = c.key;
  else
    actor := op ->> 'actor';
    epoch := (op ->> 'epoch')::bigint;
    ciphertext := p_bytes[(op #>> '{bytes,ciphertext}')::int];
    welcome := p_bytes[(op #>> '{bytes,welcome}')::int];
    group_info := p_bytes[(op #>> '{bytes,groupInfo}')::int];
    request := op;
  end if;
end $$;

-- Texts of a JSON array, each once, in order; {} when there is none.
create or replace function texts(p_array jsonb) returns text[]
language sql immutable as $$
  select coalesce(array_agg(distinct t order by t), '{}') from jsonb_array_elements_text(p_array) t
$$;
