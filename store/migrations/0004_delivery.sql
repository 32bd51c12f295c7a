-- Devices, key packages, Welcomes by device, positions, changes, repair, fairness.

-- Functions have moved to store/functions; these have other arguments or another name there.
drop function if exists decide_other(conversation, jsonb);
drop function if exists expire_bodies(text, timestamptz, int);

alter table conversation
  -- entries before it were taken by retention, for good
  add column oldest_seq bigint not null default 1,
  -- application entries before oldest_seq
  add column oldest_count bigint not null default 0,
  -- id of the conversation that took over; this one takes no more writes
  add column successor text collate "C";

alter table member
  -- the policy as a former member saw it last
  add column left_policy jsonb,
  -- left by itself, other than by a removal: under externalJoin `anyone` it may come back
  add column left_self boolean not null default false,
  -- copied from a predecessor; no commit has added its leaves yet
  add column awaited boolean not null default false;
create index member_admin on member (conversation) where role = 'admin' and left_seq is null;

-- Of commits without bytes too: the hash of no bytes.
update entry set sha256 = sha256('') where kind = 'commit' and length(sha256) = 0;

-- Devices as the service came to know them: by a request, a key package, a stream.
create table device (
  user_id      text collate "C" not null,
  device_id    text collate "C" not null,
  created_at   timestamptz not null default clock_timestamp(),
  seen_at      timestamptz not null default clock_timestamp(),
  -- when a claim last took the pool below the mark; null = there is enough
  low_stock_at timestamptz,
  primary key (user_id, device_id)
);
create index device_low_stock on device (low_stock_at) where low_stock_at is not null;

-- Used and replaced packages stay until they expire, so that a Welcome for one of them is told so, and so that they never
-- come back. Those of an erased user name nobody then: user, device and bytes are empty.
create table key_package (
  -- KeyPackageRef (RFC 9420 §5.2)
  ref          bytea primary key,
  user_id      text collate "C" not null,
  device_id    text collate "C" not null,
  cipher_suite integer not null,
  key_package  bytea storage external not null,
  last_resort  boolean not null,
  not_after    timestamptz not null,
  uploaded_at  timestamptz not null default clock_timestamp(),
  -- handed out; for good, unless it is the last resort
  claimed_at   timestamptz,
  -- an accepted commit of this conversation used it
  conversation bigint,
  used_at      timestamptz,
  -- its device replaced or withdrew it
  replaced_at  timestamptz
) with (fillfactor = 80);
create index key_package_pool on key_package (user_id, device_id, cipher_suite, uploaded_at)
  where claimed_at is null and replaced_at is null and not last_resort;
create unique index key_package_last_resort on key_package (user_id, device_id, cipher_suite)
  where last_resort and replaced_at is null;
create index key_package_owner on key_package (user_id, device_id, claimed_at);
create index key_package_age on key_package (not_after);

-- Who was given a key package, and for which conversation.
create table claim (
  ref          bytea not null references key_package (ref) on delete cascade,
  -- the claimer
  user_id      text collate "C" not null,
  -- id of the conversation it was claimed for, which may not exist yet; '' = any
  conversation text collate "C" not null default '',
  -- of the request: asked again with it, the same is answered
  operation    text collate "C" not null default gen_random_uuid()::text,
  at           timestamptz not null default clock_timestamp(),
  primary key (operation, ref)
);
create index claim_ref on claim (ref, user_id, conversation, at);
create index claim_user on claim (user_id, at);

-- Welcomes: the bytes once, one row for each device that they are for.
create table welcome_body (
  conversation bigint not null references conversation (key),
  -- of the joining commit
  seq          bigint not null,
  welcome      bytea storage external not null,
  primary key (conversation, seq)
);
insert into welcome_body (conversation, seq, welcome)
  select distinct on (conversation, seq) conversation, seq, welcome from welcome order by conversation, seq;
alter table welcome
  drop column welcome,
  -- '' = every device of the user (`opaque` conversations, whose Welcomes name no refs)
  add column device_id text collate "C" not null default '',
  add column ref bytea,
  add column expires_at timestamptz not null default clock_timestamp() + interval '30 days',
  drop constraint welcome_conversation_user_id_key,
  -- a later Welcome for the same device and conversation replaces the earlier
  add constraint welcome_target unique (conversation, user_id, device_id);
create index welcome_expiry on welcome (conversation, expires_at);

-- How far a device has acknowledged a conversation; only forward.
create table device_position (
  user_id      text collate "C" not null,
  device_id    text collate "C" not null,
  conversation bigint not null references conversation (key),
  seq          bigint not null,
  at           timestamptz not null default clock_timestamp(),
  primary key (user_id, device_id, conversation)
);
-- Whole, so that a plan which takes it for the primary key is as good.
create index device_position_conversation on device_position (conversation, user_id, device_id);

-- What happened to a conversation beside its entries: streams tell it after the entry `seq`, in the order of `key`.
-- kinds: added {users}, removed {users}, role {user, role}, policy {policy}, welcome-expired {user, device},
-- reset-open {}, superseded {successor}.
create table change (
  conversation bigint not null references conversation (key),
  seq          bigint not null,
  key          bigint generated always as identity,
  kind         text not null,
  data         jsonb not null default '{}',
  at           timestamptz not null default clock_timestamp(),
  primary key (conversation, seq, key)
);
-- New members of any conversation, for streams that missed the notification.
create index change_added on change (at) where kind = 'added';

-- "I cannot process entry seq": the newest report of each member.
create table report (
  conversation        bigint not null references conversation (key),
  user_id             text collate "C" not null,
  seq                 bigint not null,
  epoch               bigint not null,
  reason              text not null,
  epoch_authenticator bytea,
  at                  timestamptz not null default clock_timestamp(),
  primary key (conversation, user_id)
);

-- What operators must be able to look up later: reports, resets, operators' own actions.
create table audit (
  key          bigint generated always as identity primary key,
  at           timestamptz not null default clock_timestamp(),
  -- id; null = not about one
  conversation text collate "C",
  actor        text collate "C" not null,
  action       text not null,
  details      jsonb not null default '{}'
);
create index audit_conversation on audit (conversation, key);

-- Commits that a user won and lost of late (store/functions/races.sql), and the short reservation of a loser.
create table race (
  conversation   bigint not null references conversation (key),
  user_id        text collate "C" not null,
  -- in a row, with less than ten seconds from one to the next
  losses         integer not null default 0,
  lost_at        timestamptz,
  -- the newest five times, newest first
  won            timestamptz[] not null default '{}',
  granted_at     timestamptz,
  reserved_until timestamptz,
  primary key (conversation, user_id)
);
create index race_user on race (user_id);
