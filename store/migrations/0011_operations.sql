-- For operators: which processes live, and which conversations are in trouble.

-- A process writes its row again while it works (store/process/processes.ts). One that is stopped, or whose workflow thread does
-- not answer, goes silent here before anybody else sees it.
create table process (
  -- kind, host, pid and start: a process that starts again has another one
  id         text collate "C" primary key,
  kind       text not null check (kind in ('api', 'worker', 'supervisor')),
  version    text not null,
  build      text not null,
  task_queue text not null,
  started_at timestamptz not null default clock_timestamp(),
  seen_at    timestamptz not null default clock_timestamp(),
  -- what the process knows of itself and of no single conversation
  facts      jsonb not null default '{}'
) with (fillfactor = 50);

-- What processes saw of conversations in trouble (store/trouble/troubles.ts). One row for each sign, so that it stays small however
-- often the sign is seen.
create table trouble (
  conversation bigint not null,
  sign         text collate "C" not null,
  first_at     timestamptz not null default clock_timestamp(),
  last_at      timestamptz not null default clock_timestamp(),
  seen         bigint not null default 1,
  details      jsonb not null default '{}',
  -- no foreign key: a report must not wait for whoever holds the row of the conversation
  primary key (conversation, sign)
) with (fillfactor = 70);
create index trouble_at on trouble (last_at);
