-- Records for streams what happened beside the log, at its place in the log: after the newest entry.
create or replace function record_change(c conversation, p_kind text, p_data jsonb) returns void
language sql volatile as $$
  insert into change (conversation, seq, kind, data) values (c.key, c.last_seq, p_kind, p_data)
$$;

-- Records for operators who did what.
create or replace function audit(c conversation, p_actor text, p_action text, p_details jsonb) returns void
language sql volatile as $$
  insert into audit (conversation, actor, action, details) values (c.id, p_actor, p_action, p_details)
$$;
