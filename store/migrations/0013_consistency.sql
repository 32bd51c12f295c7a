-- The consistency audit (docs/explanation/consistency.md): how far a run has come, and what it found.

create table consistency_run (
  id          bigint generated always as identity primary key,
  state       text not null default 'running' check (state in ('running', 'finished', 'stopped')),
  -- user id of an operator; '' = the schedule
  started_by  text collate "C" not null,
  started_at  timestamptz not null default clock_timestamp(),
  -- of the last slice
  seen_at     timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  -- what is being read, 'conversations' and then 'key-packages', and after which key it goes on: a number, or a ref in hex
  subject     text not null default 'conversations',
  position    text not null default '0',
  -- Conversations with later keys are left to the next run.
  last_key    bigint not null,
  -- conversations up to last_key when it began
  total       bigint not null,
  -- conversations that were read
  checked     bigint not null default 0,
  found       bigint not null default 0,
  -- of those found, how many are in consistency_finding
  stored      integer not null default 0
);
-- One at a time.
create unique index consistency_run_running on consistency_run (state) where state = 'running';

create table consistency_finding (
  -- 0 = of none: a key package that no conversation used
  conversation bigint not null,
  run          bigint not null references consistency_run (id) on delete cascade,
  n            integer not null,
  rule         text not null,
  details      jsonb not null,
  primary key (conversation, run, n)
);
