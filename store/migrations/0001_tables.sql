-- Tables. Unique keys make invariants 1 to 3 impossible to break, even for a buggy caller:
-- (conversation, seq), (conversation, epoch of a commit), (conversation, message_id).
-- conversation and entry have no check constraints: they would be parsed anew for each message, 5 % of its time.

create table conversation (
  key          bigint generated always as identity primary key,
  -- base64url of the MLS group_id
  id           text collate "C" not null unique,
  -- 'mls' or 'opaque'
  protocol     text not null,
  epoch        bigint not null,
  last_seq     bigint not null default 0,
  -- application entries ever accepted; each log row stores the count at its time, so unread is a subtraction
  app_count    bigint not null default 0,
  -- sum of all explicit unread increments
  increments   bigint not null default 0,
  member_count integer not null,
  policy       jsonb not null,
  created_by   text collate "C" not null,
  -- of the creation request, so that its repetition is answered 200
  fingerprint  bytea not null,
  created_at   timestamptz not null default clock_timestamp(),
  -- time of the newest entry; entry times never run backwards
  last_at      timestamptz not null default clock_timestamp(),
  -- seq of the newest commit; proposals of the current epoch come after it
  last_commit_seq bigint not null default 0,
  -- application entries up to here have lost their bodies to retention
  expired_seq  bigint not null default 0,
  -- when the conversation's timer has work; null = never
  due_at       timestamptz,
  -- a deleted conversation stays as a tombstone: its seq and its id are never used again
  deleted_at   timestamptz
) with (fillfactor = 50);
create index conversation_due on conversation (due_at) where due_at is not null;

create table member (
  conversation bigint not null references conversation (key),
  user_id      text collate "C" not null,
  role         text not null check (role in ('admin', 'member')),
  joined_seq   bigint not null,
  joined_epoch bigint not null,
  -- last entry that a former member may read; null = is a member
  left_seq     bigint,
  left_epoch   bigint,
  left_at      timestamptz,
  -- left by itself, and no commit has removed its leaves yet
  leaving      boolean not null default false,
  read_seq     bigint not null,
  read_count   bigint not null,
  -- conversation.increments that do not count for this member
  increments_base bigint not null default 0,
  primary key (conversation, user_id)
) with (fillfactor = 70);
create index member_of on member (user_id, conversation);

-- What a user may read: one row per stay.
create table period (
  conversation bigint not null references conversation (key),
  user_id      text collate "C" not null,
  from_seq     bigint not null,
  to_seq       bigint,
  primary key (conversation, user_id, from_seq)
);

create table entry (
  conversation bigint not null,
  -- from 1
  seq          bigint not null,
  -- 'application', 'commit' or 'proposal'
  kind         text not null,
  -- of the frame; for a commit the epoch that it ends
  epoch        bigint not null,
  message_id   text collate "C" not null,
  sha256       bytea not null,
  -- null once retention took it
  ciphertext   bytea storage external,
  -- null for application messages of mls conversations: the log pairs no sender with a message
  sender       text collate "C",
  -- application entries up to and including this one
  app_count    bigint not null,
  -- of a commit with its adds and removes: the same request again is answered, another one is refused
  fingerprint  bytea,
  at           timestamptz not null,
  primary key (conversation, seq)
);
create unique index entry_message_id on entry (conversation, message_id);
create unique index entry_commit_epoch on entry (conversation, epoch) where kind = 'commit';
create index entry_handshake on entry (conversation, seq) where kind <> 'application';

-- Answers of operations that write no entry, so that a retry or a re-run is answered and not applied again.
create table operation (
  conversation bigint not null references conversation (key),
  id           text collate "C" not null,
  kind         text not null,
  actor        text collate "C" not null,
  -- of what it asked for: the same request again is answered, another one is refused
  fingerprint  bytea not null,
  answer       jsonb not null,
  at           timestamptz not null default clock_timestamp(),
  primary key (conversation, id)
);
create index operation_at on operation (at);

-- Claim check: bytes and sender of operations that the workflow path has not decided yet. The deciding transaction moves
-- the bytes into the log and deletes the row; orphans are swept under the conversation's lock.
create table staged (
  key          bigint generated always as identity primary key,
  conversation bigint not null references conversation (key),
  user_id      text collate "C" not null,
  epoch        bigint,
  size         integer not null,
  ciphertext   bytea storage external not null,
  welcome      bytea storage external,
  group_info   bytea storage external,
  -- adds and removes of a commit
  request      jsonb,
  at           timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);
create index staged_user on staged (user_id);
create index staged_conversation on staged (conversation, at);

create table group_info (
  conversation bigint primary key references conversation (key),
  epoch        bigint not null,
  group_info   bytea storage external not null
);

create table welcome (
  id           uuid primary key default uuidv7(),
  conversation bigint not null references conversation (key),
  user_id      text collate "C" not null,
  seq          bigint not null,
  epoch        bigint not null,
  welcome      bytea storage external not null,
  -- a later Welcome of the same conversation replaces the earlier
  unique (conversation, user_id)
);
create index welcome_user on welcome (user_id);

-- Answers by Idempotency-Key: scope = sha256 over user, device, method, path and key.
create table idempotency (
  scope        bytea primary key,
  request      bytea not null,
  -- null while the first request is being answered
  status       integer,
  answer       jsonb,
  lease_until  timestamptz not null,
  at           timestamptz not null default clock_timestamp()
);
create index idempotency_at on idempotency (at);

-- Settings that operators change at run time, for all processes.
create table setting (
  name         text primary key,
  value        jsonb not null,
  updated_at   timestamptz not null default clock_timestamp()
);
