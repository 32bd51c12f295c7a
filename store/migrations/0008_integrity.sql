-- Integrity: what the service has verified, as far as it needs no secrets (docs/explanation/integrity.md).

alter table group_info
  -- of the first GroupInfo that the service has checked: no later one may have another. Null = none was checked yet
  add column cipher_suite integer,
  -- the service has checked this GroupInfo and its whole tree
  add column checked boolean not null default false,
  -- its GroupContext follows from public commits since a context that the service proved
  add column proven boolean not null default false,
  -- the ratchet tree that the service computed, where the GroupInfo has none
  add column tree bytea,
  -- changes with each GroupInfo, so that a cache can tell whether its copy is the current one
  add column version uuid;
alter table group_info
  alter column tree set storage external,
  alter column version set default gen_random_uuid();

-- Ratchet trees that the service computed for commits which are not decided yet.
create table computed_tree (
  conversation bigint not null references conversation (key),
  -- sha256 of the GroupInfo that it belongs to
  group_info   bytea not null,
  tree         bytea storage external not null,
  at           timestamptz not null default clock_timestamp(),
  primary key (conversation, group_info)
);

alter table entry
  -- of a public commit or proposal: whether the service could verify it against a proven context. Null = nothing to verify
  add column verified boolean;

-- Public keys in key packages: a key belongs to one user, and serves one purpose. Their hashes only.
create table public_key (
  -- sha256 of the key
  hash      bytea primary key,
  user_id   text collate "C" not null,
  -- 'init', 'encryption' or 'signature'
  purpose   text not null,
  -- the key package that an init key is for; null for other keys
  ref       bytea,
  -- when the last key package with this key expires
  not_after timestamptz not null
);
create index public_key_user on public_key (user_id);
create index public_key_not_after on public_key (not_after);
