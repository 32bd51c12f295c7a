-- Reports of members who cannot process an entry (docs/explanation/repair.md). Enough of them open a reset (vote.sql).

-- Stores a member's report; seq 0 is the state with which the conversation began. Answers how many votes there are. Reports that
-- say the same again, or more of them than audit_bounded() takes, leave no trace.
create or replace function decide_report(inout c conversation, m member, op jsonb, out result jsonb)
language plpgsql as $$
declare
  v_seq bigint := (op ->> 'seq')::bigint;
  v_authenticator bytea := decode(op ->> 'epochAuthenticator', 'base64');
  v_electorate text[];
  v_needed int;
  v_was_open boolean;
  v_count int;
  v_open boolean;
  o report;
begin
  if v_seq > c.last_seq or v_seq < m.joined_seq then
    result := refusal('malformed', '{"detail": "There is no such entry, or you have joined behind it"}');
    return;
  end if;
  if v_seq > c.vote_seq or not has_reports(c) or vote_time(c) is distinct from c.vote_at then
    c.vote_at := clock_timestamp();
    c.vote_seq := v_seq;
  end if;
  v_electorate := array(select electorate(c, c.vote_at));
  v_needed := majority(c, cardinality(v_electorate));
  v_was_open := count_reports(c, v_electorate) >= v_needed or trial_may_be_undone(c);
  select * into o from report where conversation = c.key and user_id = m.user_id;
  insert into report (conversation, user_id, seq, epoch, reason, epoch_authenticator)
    values (c.key, m.user_id, v_seq, (op ->> 'epoch')::bigint, op ->> 'reason', v_authenticator)
    on conflict (conversation, user_id) do update
      set seq = excluded.seq, epoch = excluded.epoch, reason = excluded.reason,
          epoch_authenticator = excluded.epoch_authenticator, at = excluded.at;
  if (o.seq, o.epoch, o.reason, o.epoch_authenticator)
     is distinct from (v_seq, (op ->> 'epoch')::bigint, op ->> 'reason', v_authenticator) then
    -- `sender` names who sent the entry: nobody can read a bad private commit, but everybody can see whose it is.
    perform audit_bounded(c, m.user_id, 'report', jsonb_build_object(
      'seq', op -> 'seq', 'epoch', op -> 'epoch', 'reason', op -> 'reason', 'epochAuthenticator', op -> 'epochAuthenticator',
      'sender', (select sender from entry where conversation = c.key and seq = v_seq)));
  end if;
  v_count := count_reports(c, v_electorate);
  v_open := v_count >= v_needed or trial_may_be_undone(c);
  if v_open and not v_was_open then
    perform record_change(c, 'reset-open', '{}');
    perform audit_bounded(c, m.user_id, 'reset-open', jsonb_build_object('reports', v_count, 'needed', v_needed));
  end if;
  result := jsonb_build_object('status', 'accepted', 'reports', v_count, 'needed', v_needed, 'open', v_open);
end $$;

-- Withdraws the report of a user whose commit was accepted: it can process the log, or has joined anew.
create or replace function clear_report(p_conversation bigint, p_user text) returns void
language sql volatile as $$
  delete from report where conversation = p_conversation and user_id = p_user
$$;
