-- Explicit increments of unread counts that were answered and are not counted yet (docs/adr/0012-increments.md).
create table pending_increment (
  -- random (staged_key()); stands in signals and histories
  key          bigint primary key,
  -- no foreign key: its check would make the answer wait for whoever holds the row of the conversation
  conversation bigint not null,
  id           text collate "C" not null,
  user_id      text collate "C" not null,
  amount       bigint not null,
  at           timestamptz not null default clock_timestamp(),
  unique (conversation, id)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
create index pending_increment_user on pending_increment (user_id);
create index pending_increment_at on pending_increment (at);
