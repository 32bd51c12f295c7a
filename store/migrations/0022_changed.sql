-- The transaction that last changed what a user may see of a conversation in its list (store/conversation/changed-conversations.ts), as
-- xid8, which never wraps. 0 = before this migration: a constant, so the tables are not rewritten.
-- Neither column has an index: an update of an indexed column is not HOT, and every message changes the first one. A user's list is
-- read by its memberships, which are few.
alter table conversation add column changed_xid xid8 not null default '0';
alter table member add column changed_xid xid8 not null default '0';
alter table conversation alter column changed_xid set default pg_current_xact_id();
alter table member alter column changed_xid set default pg_current_xact_id();
