-- Off-boarding: operators remove users and devices from all groups (docs/explanation/joining.md).

-- Signature keys by which the service proposes removals (RFC 9420 §12.1.8.1). A replaced key stays: groups may list it.
create table external_sender_key (
  id         bigint generated always as identity primary key,
  -- signature scheme, as in mls/suite.ts
  scheme     text not null,
  -- as in a SignaturePublicKey (RFC 9420 §5.1.1)
  public_key bytea not null unique,
  -- the private key, encrypted with a key that is not in the database
  sealed     bytea not null,
  created_at timestamptz not null default clock_timestamp(),
  -- when an operator replaced it; null = groups should list this one
  retired_at timestamptz
);
create unique index external_sender_key_current on external_sender_key (scheme) where retired_at is null;

-- Who is removed from everywhere. While a row stands, its user is cut off: nothing that it sends is accepted.
create table off_boarding (
  id         bigint generated always as identity primary key,
  user_id    text collate "C" not null,
  -- '' = the whole user
  device_id  text collate "C" not null default '',
  reason     text not null check (reason in ('account-closed', 'device-stolen', 'device-removed')),
  -- the operator, or the user itself for its device
  started_by text collate "C" not null,
  started_at timestamptz not null default clock_timestamp(),
  -- undone; null = it stands
  ended_at   timestamptz,
  -- of the last change, so that processes find it
  changed_at timestamptz not null default clock_timestamp(),
  -- conversations of the user when it began
  total      bigint not null default 0,
  -- after this conversation (its key) the work goes on
  position   bigint not null default 0,
  -- when the work came to the last conversation
  worked_at  timestamptz,
  -- when nothing was left to do
  done_at    timestamptz,
  -- when a step last ran
  seen_at    timestamptz
);
create unique index off_boarding_standing on off_boarding (user_id, device_id) where ended_at is null;
create index off_boarding_user on off_boarding (user_id, device_id, id);
create index off_boarding_changed on off_boarding (changed_at);
create index off_boarding_open on off_boarding (id) where done_at is null;

-- Leaves that the service wants removed from a group: those of a user, or of one of its devices.
create table removal (
  conversation bigint not null,
  user_id      text collate "C" not null,
  -- '' = all leaves of the user
  device_id    text collate "C" not null default '',
  -- null = the user erased itself
  off_boarding bigint,
  -- the deadline of the policy counts from it
  since        timestamptz not null default clock_timestamp(),
  -- the epoch that was looked at; null = the current one was not yet
  epoch        bigint,
  -- seqs of the proposals of that epoch
  proposals    bigint[] not null default '{}',
  -- members were told, because there could be no proposal
  wanted       boolean not null default false,
  -- the role that the user had, for an undo; null = it was no member any more
  role         text,
  -- when somebody last tried to propose
  tried_at     timestamptz,
  -- when the leaves were gone; null = they are not
  done_at      timestamptz,
  primary key (conversation, user_id, device_id)
) with (fillfactor = 70);
create index removal_open on removal (conversation) where done_at is null;
create index removal_to_propose on removal (tried_at nulls first) where done_at is null and epoch is null;
create index removal_off_boarding on removal (off_boarding, conversation);
