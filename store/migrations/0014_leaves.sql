-- Leaves of ratchet trees, as far as the service knows whose they are, and those that should go.
--
-- A leaf is named by the SHA-256 of its signature key: signature keys are unique in a group (RFC 9420 §7.3), and the name stays when
-- the leaf gets another index or another encryption key. Whoever reads these tables finds the index in the stored tree. A row may be
-- older than the tree: a leaf that is not in the tree is gone.
--
-- No foreign keys here: rows are also written for many conversations at once, and no such statement may wait for a row of
-- `conversation` that somebody holds (docs/explanation/locks.md).

-- Which device has a leaf. Known from what the device itself has signed with the leaf's key under its own token (its external commit,
-- a GroupInfo at the creation, with a commit or alone), and from its key package in a Welcome. A device with the name `default` is not
-- recorded: tokens without a device claim may be of several devices.
create table device_leaf (
  conversation bigint not null,
  -- SHA-256 of the signature key
  leaf         bytea not null,
  user_id      text collate "C" not null,
  device_id    text collate "C" not null,
  -- first epoch in which it is known
  since_epoch  bigint not null,
  since_at     timestamptz not null default clock_timestamp(),
  primary key (conversation, leaf)
);
-- All leaves of a device, or of a user, in all conversations; and the leaves of a device in one.
create index device_leaf_owner on device_leaf (user_id, device_id, conversation);

-- Leaves that should go, and that no commit has removed yet. Any member may remove them. A row ends with the leaf.
create table pending_removal (
  conversation bigint not null,
  -- whose leaf it is
  user_id      text collate "C" not null,
  -- SHA-256 of the signature key; '' = all leaves that the user has
  leaf         bytea not null default '',
  -- 'left': the user left by itself (member.leaving says the same; leaf is '').
  -- 'ghost': the device joined again by an external commit with another signature key, and its older leaf stayed.
  -- 'off-boarding': the user, or this device of it, was taken out of all its conversations.
  -- One leaf may have several reasons, each with a row of its own: one can be taken back without the others.
  reason       text not null check (reason in ('left', 'ghost', 'off-boarding')),
  -- the device that has the leaf; '' = not known, or all devices of the user
  device_id    text collate "C" not null default '',
  -- the current epoch when it became pending
  since_epoch  bigint not null,
  since_at     timestamptz not null default clock_timestamp(),
  primary key (conversation, user_id, leaf, reason)
);
create index pending_removal_user on pending_removal (user_id, reason, conversation);

-- There is no index of those who are leaving.
set local enable_seqscan = on;
insert into pending_removal (conversation, user_id, reason, since_epoch, since_at)
  select conversation, user_id, 'left', coalesce(left_epoch, 0), coalesce(left_at, clock_timestamp()) from member where leaving;

-- Of key packages that were uploaded since. Null = not known.
alter table key_package
  -- SHA-256 of the leaf node as it will stand in the tree
  add column leaf_node     bytea,
  -- SHA-256 of its signature key: the name of the leaf
  add column signature_key bytea;
-- Leaves (SHA-256 of their nodes) that a tree had once, and later ones have not: somebody may have left them out.
alter table group_info add column left_out bytea[] not null default '{}';

create index key_package_leaf on key_package (leaf_node) where leaf_node is not null;

-- Claims of one key package for one conversation, by whomever.
create index claim_conversation on claim (ref, conversation, at);

-- Requests to join that are pending: proposals of outsiders in the current epoch. Rows of earlier epochs are of no use any more.
create table join_request (
  conversation bigint not null,
  user_id      text collate "C" not null,
  epoch        bigint not null,
  -- the entry
  seq          bigint not null,
  -- KeyPackageRef of its key package
  ref          bytea not null,
  primary key (conversation, user_id)
);

-- It has one more argument now.
drop function if exists store_key_packages(text, text, bytea[], bytea[], int[], timestamptz[], boolean[], boolean, int, bytea[], bytea[], bytea[]);
