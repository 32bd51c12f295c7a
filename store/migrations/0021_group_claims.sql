-- Claims for many users at once (docs/adr/0047-large-groups.md).

-- Its request was for many users: it has a limit of its own. A constant default rewrites no row.
alter table claim add column many boolean not null default false;

-- Requests for key packages of many users: what the limit counts, and what a retry is answered beside the packages, which stand in
-- `claim`. A day long.
create table group_claim (
  -- of the request: asked again with it, the same is answered
  operation text collate "C" primary key,
  -- the claimer
  user_id   text collate "C" not null,
  -- number of users that it asked for
  users     integer not null,
  -- [{user_id, device_id, code, wait_ms}]: devices without a package, and users of whom nothing was claimed
  rest      jsonb not null,
  at        timestamptz not null default clock_timestamp()
);
create index group_claim_user on group_claim (user_id, at);
create index group_claim_at on group_claim (at);

-- Whether a body has readers left: a look-up, however many wait for other Welcomes of the conversation.
create index welcome_of_body on welcome (conversation, seq);
