-- Evidence: what a member did under its own token. A ratchet tree proves nobody, because basic credentials are self-made.

alter table member
  -- since when the member is proven: it acted under its own token since it joined. Null = not yet, as far as its operations say:
  -- an acknowledged Welcome stands in `proof`
  add column proven_at timestamptz,
  -- with whom the member counts as one in the vote of a reset (store/repair/vote.sql): the plain member who brought it in, directly
  -- or through others; '' = the outsiders who joined by themselves; null = it stands for itself
  add column brought_by text collate "C";

-- Welcomes that members acknowledged. A member's row changes under the lock of its conversation only, which an acknowledgement
-- does not take.
create table proof (
  conversation bigint not null,
  user_id      text collate "C" not null,
  -- of the commit that the Welcome came with: it proves nothing of an earlier or later membership
  seq          bigint not null,
  at           timestamptz not null default clock_timestamp(),
  primary key (conversation, user_id)
);

-- Users who cannot come back by themselves.
create table bar (
  conversation bigint not null references conversation (key),
  user_id      text collate "C" not null,
  -- the admin, or the one whose reset undid a trial; null = it was removed from a predecessor, and any add lifts that
  barred_by    text collate "C",
  at           timestamptz not null default clock_timestamp(),
  primary key (conversation, user_id)
);

alter table conversation
  -- when the running vote began with its first report, which fixed its electorate; null = there was none yet
  add column vote_at timestamptz,
  -- the latest entry that was reported in it
  add column vote_seq bigint not null default 0,
  -- Trial of an outsider's epoch: seq and new epoch of the first external commit of an outsider that no prior member followed yet.
  -- Null = there is none
  add column trial_seq bigint,
  add column trial_epoch bigint,
  -- until then no further outsider may join
  add column trial_until timestamptz,
  -- made by a reset that undid a trial, without a vote
  add column undone_trial boolean not null default false;

-- How many rows one user caused of late is counted here.
create index audit_actor on audit (conversation, actor, action, at);

-- What is proven of members from before: the creator; senders of commits and proposals since they joined; and whoever has read or
-- acknowledged anything since it joined. That took a token too, but its time is not known: it counts from now on.
set local enable_seqscan = on;
set local enable_hashjoin = on;
set local enable_mergejoin = on;
update member m set proven_at = p.at
  from (
    select m.conversation, m.user_id, least(
        case when m.joined_seq = 0 and c.created_by = m.user_id then c.created_at end,
        min(e.at),
        case when m.read_seq > m.joined_seq or max(d.seq) > m.joined_seq then clock_timestamp() end) as at
    from member m
    join conversation c on c.key = m.conversation
    left join entry e on e.conversation = m.conversation and e.kind <> 'application' and e.sender = m.user_id and e.seq >= m.joined_seq
    left join device_position d on d.conversation = m.conversation and d.user_id = m.user_id
    where m.left_seq is null
    group by m.conversation, m.user_id, c.created_by, c.created_at) p
  where m.conversation = p.conversation and m.user_id = p.user_id and p.at is not null;
-- Who brought in whom: the sender of the joining commit, unless it is an admin.
update member m set brought_by = case when e.sender = m.user_id then '' else e.sender end
  from entry e
  where e.conversation = m.conversation and e.seq = m.joined_seq and e.kind = 'commit' and m.left_seq is null
    and not exists (select from member a
      where a.conversation = m.conversation and a.user_id = e.sender and a.user_id <> m.user_id and a.role = 'admin');
-- And through others, in the conversations that are young enough for it to count. Somebody may have been added again since, so the
-- steps are limited: a chain of that length takes as many commits.
do $do$
begin
  for i in 1..100 loop
    update member m set brought_by = b.brought_by
      from conversation c, member b
      where c.created_at > clock_timestamp() - interval '30 days' and m.conversation = c.key
        and b.conversation = c.key and b.user_id = m.brought_by and b.left_seq is null and b.joined_seq < m.joined_seq
        and b.brought_by <> m.brought_by and b.brought_by <> m.user_id;
    exit when not found;
  end loop;
end $do$;
