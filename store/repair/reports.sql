-- Reports of members who cannot process an entry (docs/explanation/repair.md). Enough of them open a reset.

-- Stores a member's report; seq 0 is the state with which the conversation began. Answers how many reports there are.
create or replace function decide_report(inout c conversation, m member, op jsonb, out result jsonb)
language plpgsql as $$
declare
  v_seq bigint := (op ->> 'seq')::bigint;
  v_needed int := needed_reports(c);
  v_before int := stuck_members(c);
  v_count int;
begin
  if v_seq > c.last_seq or v_seq < m.joined_seq then
    result := refusal('malformed', '{"detail": "There is no such entry, or you have joined behind it"}');
    return;
  end if;
  insert into report (conversation, user_id, seq, epoch, reason, epoch_authenticator)
    values (c.key, m.user_id, v_seq, (op ->> 'epoch')::bigint, op ->> 'reason', decode(op ->> 'epochAuthenticator', 'base64'))
    on conflict (conversation, user_id) do update
      set seq = excluded.seq, epoch = excluded.epoch, reason = excluded.reason,
          epoch_authenticator = excluded.epoch_authenticator, at = excluded.at;
  perform audit(c, m.user_id, 'report', jsonb_build_object(
    'seq', op -> 'seq', 'epoch', op -> 'epoch', 'reason', op -> 'reason', 'epochAuthenticator', op -> 'epochAuthenticator'));
  v_count := stuck_members(c);
  if v_count >= v_needed and v_before < v_needed then
    perform record_change(c, 'reset-open', '{}');
    perform audit(c, m.user_id, 'reset-open', jsonb_build_object('reports', v_count, 'needed', v_needed));
  end if;
  result := jsonb_build_object('status', 'accepted', 'reports', v_count, 'needed', v_needed, 'open', v_count >= v_needed);
end $$;

-- How many members reported within a week that they are stuck, without an accepted commit since.
create or replace function stuck_members(c conversation) returns int
language sql stable as $$
  select count(*)::int from (
      select user_id from report where conversation = c.key and at > clock_timestamp() - report_lifetime() offset 0) r
    cross join lateral (
      select from member where conversation = c.key and user_id = r.user_id and left_seq is null limit 1) m
$$;

-- How many of them open a reset: more than half of the members.
create or replace function needed_reports(c conversation) returns int
language sql immutable as $$ select c.member_count / 2 + 1 $$;

-- Withdraws the report of a user whose commit was accepted: it can process the log, or has joined anew.
create or replace function clear_report(p_conversation bigint, p_user text) returns void
language sql volatile as $$
  delete from report where conversation = p_conversation and user_id = p_user
$$;
