-- Repair of a conversation whose members cannot go on (docs/explanation/repair.md).

-- Stores a member's report that it cannot process an entry; counts the members who reported within a week.
create or replace function report(c conversation, p_user text, op jsonb, p_request jsonb) returns jsonb
language plpgsql as $$
declare
  v_count int;
begin
  if (op ->> 'seq')::bigint > c.last_seq then
    return refusal('malformed', '{"detail": "There is no such entry"}');
  end if;
  insert into report (conversation, user_id, seq, epoch, reason, epoch_authenticator)
    values (c.key, p_user, (op ->> 'seq')::bigint, (op ->> 'epoch')::bigint, p_request ->> 'reason',
            decode(p_request ->> 'epochAuthenticator', 'base64'))
    on conflict (conversation, user_id) do update
      set seq = excluded.seq, epoch = excluded.epoch, reason = excluded.reason,
          epoch_authenticator = excluded.epoch_authenticator, at = excluded.at;
  perform audit(c, p_user, 'report', jsonb_build_object(
    'seq', op -> 'seq', 'epoch', op -> 'epoch', 'reason', p_request -> 'reason',
    'epochAuthenticator', p_request -> 'epochAuthenticator'));
  -- Those of former members do not count.
  select count(*) into v_count from (
      select user_id from report where conversation = c.key and at > clock_timestamp() - interval '7 days' offset 0) r
    cross join lateral (
      select from member where conversation = c.key and user_id = r.user_id and left_seq is null limit 1) m;
  return jsonb_build_object('status', 'accepted', 'reports', v_count, 'needed', c.member_count / 2 + 1);
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
