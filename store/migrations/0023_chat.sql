-- Deleted bodies and read marks (docs/adr/0049-deleted-bodies.md). Constant defaults: the tables are not rewritten.
alter table entry
  -- sha256 of the secret with which the sender may delete the body; null = it stated none
  add column delete_hash bytea,
  -- the body was deleted, by its sender or by an admin
  add column deleted boolean not null default false;
alter table conversation
  -- application messages up to expired_seq: those count as read
  add column expired_count bigint not null default 0,
  -- number of deleted bodies
  add column deletions bigint not null default 0;

-- Devices ask which bodies were deleted. Other changes may be many.
create index change_body_deleted on change (conversation, seq, key) where kind = 'body-deleted';
