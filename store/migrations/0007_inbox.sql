-- The inbox: what others may put on a user. Consent, who sent a Welcome, invitations of late, conversations that everybody left,
-- and users who are being erased.

-- Who may invite a user. No row = anyone.
create table consent (
  user_id text collate "C" primary key,
  mode    text not null check (mode in ('anyone', 'contacts', 'nobody')),
  at      timestamptz not null default clock_timestamp()
);

-- Somebody wanted to invite a user who had not consented. The user's answer stays.
create table consent_request (
  user_id text collate "C" not null,
  asker   text collate "C" not null,
  state   text not null default 'pending' check (state in ('pending', 'accepted', 'refused')),
  at      timestamptz not null default clock_timestamp(),
  primary key (user_id, asker)
);
create index consent_request_pending on consent_request (user_id, asker) where state = 'pending';
create index consent_request_asker on consent_request (asker, at);
create index consent_request_age on consent_request (at) where state = 'pending';

-- Who put whom into which conversation of late: one row for each time.
create table invitation (
  user_id      text collate "C" not null,
  inviter      text collate "C" not null,
  conversation bigint not null,
  at           timestamptz not null default clock_timestamp()
);
create index invitation_pair on invitation (user_id, inviter, at);
create index invitation_age on invitation (at);

-- Members who have acted, by user: who is a contact of whom.
create index proof_user on proof (user_id);
create index member_acted on member (user_id, conversation) where proven_at is not null and left_seq is null;

alter table welcome
  -- the sender; '' = sent before this was recorded
  add column inviter text collate "C" not null default '',
  -- bytes
  add column size integer not null default 0,
  -- when it lost its place in a full inbox, and expired with that
  add column evicted_at timestamptz;
update welcome w set size = octet_length(b.welcome) from welcome_body b where b.conversation = w.conversation and b.seq = w.seq;
create index welcome_inviter on welcome (inviter, user_id);
create index welcome_evicted on welcome (evicted_at) where evicted_at is not null;

alter table conversation
  -- when its last member left; null = it has members
  add column abandoned_at timestamptz;
update conversation set abandoned_at = clock_timestamp(), due_at = least(due_at, clock_timestamp() + interval '30 days')
  where member_count = 0 and deleted_at is null;

-- Users who are leaving all their conversations. The sweep goes on where the request ended.
create table erasure (
  user_id  text collate "C" primary key,
  -- memberships that began later stay
  at       timestamptz not null default clock_timestamp(),
  tried_at timestamptz
);
create index erasure_tried on erasure (tried_at nulls first);
