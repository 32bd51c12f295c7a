-- Repair of a conversation whose members cannot go on (docs/explanation/repair.md).

-- Members who said within a week that they are stuck, and were not seen to go on since.
create or replace function stuck_members(c conversation) returns int
language sql stable as $$
  select count(*)::int from (
      select user_id from report where conversation = c.key and at > clock_timestamp() - interval '7 days' offset 0) r
    cross join lateral (
      select from member where conversation = c.key and user_id = r.user_id and left_seq is null limit 1) m
$$;

-- How many of them open a reset: more than half of the members.
create or replace function needed_reports(c conversation) returns int
language sql immutable as $$ select c.member_count / 2 + 1 $$;

-- Whose commit is accepted can process the log, or has joined anew.
create or replace function not_stuck(c conversation, p_user text) returns void
language sql volatile as $$
  delete from report where conversation = c.key and user_id = p_user
$$;

-- Stores a member's report that it cannot process an entry; 0 is what the conversation began with. Says how many there are.
create or replace function report(c conversation, m member, op jsonb, p_request jsonb) returns jsonb
language plpgsql as $$
declare
  v_seq bigint := (op ->> 'seq')::bigint;
  v_needed int := needed_reports(c);
  v_before int := stuck_members(c);
  v_count int;
begin
  if v_seq > c.last_seq or v_seq < m.joined_seq then
    return refusal('malformed', '{"detail": "There is no such entry, or you have joined behind it"}');
  end if;
  insert into report (conversation, user_id, seq, epoch, reason, epoch_authenticator)
    values (c.key, m.user_id, v_seq, (op ->> 'epoch')::bigint, p_request ->> 'reason',
            decode(p_request ->> 'epochAuthenticator', 'base64'))
    on conflict (conversation, user_id) do update
      set seq = excluded.seq, epoch = excluded.epoch, reason = excluded.reason,
          epoch_authenticator = excluded.epoch_authenticator, at = excluded.at;
  perform audit(c, m.user_id, 'report', jsonb_build_object(
    'seq', op -> 'seq', 'epoch', op -> 'epoch', 'reason', p_request -> 'reason',
    'epochAuthenticator', p_request -> 'epochAuthenticator'));
  v_count := stuck_members(c);
  if v_count >= v_needed and v_before < v_needed then
    perform tell(c, 'reset-open', '{}');
    perform audit(c, m.user_id, 'reset-open', jsonb_build_object('reports', v_count, 'needed', v_needed));
  end if;
  return jsonb_build_object('status', 'accepted', 'reports', v_count, 'needed', v_needed, 'open', v_count >= v_needed);
end $$;

-- Creates the conversation that takes over: members, roles and policy of the old one, epoch 0. Its MLS group has only the
-- creator's leaf yet; the others are awaited until a commit has added theirs. False = the id is taken.
create or replace function succeed(c conversation, p_user text, p_id text) returns boolean
language plpgsql as $$
declare
  s conversation;
begin
  insert into conversation (id, protocol, epoch, member_count, policy, created_by, fingerprint)
    values (p_id, c.protocol, 0, c.member_count, c.policy, p_user, sha256(convert_to('successor of ' || c.id, 'UTF8')))
    on conflict (id) do nothing returning * into s;
  if not found then return false; end if;
  insert into member (conversation, user_id, role, joined_seq, joined_epoch, read_seq, read_count, awaited)
    select s.key, user_id, role, 0, 0, 0, 0, c.protocol = 'mls' and user_id <> p_user
    from member where conversation = c.key and left_seq is null;
  insert into period (conversation, user_id, from_seq)
    select s.key, user_id, 1 from member where conversation = s.key;
  perform tell(s, 'added', jsonb_build_object('users', (select jsonb_agg(user_id) from member where conversation = s.key)));
  return true;
end $$;
