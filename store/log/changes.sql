-- Records for streams what happened beside the log, at its place in the log: after the newest entry.
create or replace function record_change(c conversation, p_kind text, p_data jsonb) returns void
language sql volatile as $$
  insert into change (conversation, seq, kind, data) values (c.key, c.last_seq, p_kind, p_data)
$$;

-- The same for what one user can do any number of times: a bounded number of rows for each user, action and conversation a day.
create or replace function audit_bounded(c conversation, p_actor text, p_action text, p_details jsonb) returns void
language sql volatile as $$
  insert into audit (conversation, actor, action, details) select c.id, p_actor, p_action, p_details
  where (select count(*) from (
    select from audit where conversation = c.id and actor = p_actor and action = p_action and at > clock_timestamp() - audit_window()
    limit max_audits()) x) < max_audits()
$$;

-- Records for operators who did what.
create or replace function audit(c conversation, p_actor text, p_action text, p_details jsonb) returns void
language sql volatile as $$
  insert into audit (conversation, actor, action, details) values (c.id, p_actor, p_action, p_details)
$$;
