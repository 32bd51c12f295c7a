-- Wake-ups for sleeping devices (docs/explanation/wake-ups.md). A send writes nothing for each member: it moves three values in the
-- row of its conversation, which it writes anyway, and makes sure that the conversation has a cursor.

-- For a moment nobody else may use the row type of conversations: the same patience as in 0010.
do $do$
begin
  loop
    begin
      set local lock_timeout = '200ms';
      alter table conversation
        -- the newest entry that may wake devices, and the newest of high urgency
        add column push_seq bigint not null default 0,
        add column push_high_seq bigint not null default 0,
        -- time of the entry push_seq
        add column push_at timestamptz not null default '-infinity';
      exit;
    exception when lock_not_available then
      perform pg_sleep(0.5);
    end;
  end loop;
end $do$;

-- Where wake-ups of one device go, and how far they have come. The rows of a user are few.
create table push_target (
  key               bigint generated always as identity primary key,
  user_id           text collate "C" not null,
  device_id         text collate "C" not null,
  kind              text not null check (kind in ('web-push', 'gateway')),
  -- URL of a Web Push subscription, or the token that the gateway knows
  endpoint          text not null,
  -- of a Web Push subscription, base64url
  p256dh            text,
  auth              text,
  -- for the gateway: which app
  app               text,
  registered_at     timestamptz not null default clock_timestamp(),
  -- its newest event stream, while that is open. A process that was killed leaves it here: then wake-ups only come later
  stream_id         uuid,
  -- woken, and not acknowledged since
  woken             boolean not null default false,
  -- when it was woken last
  woken_at          timestamptz not null default '-infinity',
  wake_id           uuid,
  -- for which entry
  wake_conversation bigint,
  wake_seq          bigint,
  wake_high         boolean not null default false,
  -- pace of its wake-ups: a virtual time that each moves on by push_interval()
  paced_at          timestamptz not null default '-infinity',
  -- when all conversations of its user are looked at: entries may have come while it was woken. Null = no need
  check_at          timestamptz,
  -- when its wake-up is sent, if nobody reports before that it was; null = nothing is to be sent
  due_at            timestamptz,
  -- sends that failed
  attempts          integer not null default 0,
  unique (user_id, device_id)
) with (fillfactor = 50);
-- Those that were woken already are not in it: looking for them costs nothing.
create index push_target_awake on push_target (user_id, key) where not woken;
create index push_target_due on push_target (due_at) where due_at is not null;
create index push_target_unsent on push_target (woken_at) where due_at is not null;
create index push_target_check on push_target (check_at) where check_at is not null;
create index push_target_woken on push_target (woken_at) where woken;

-- Conversations that a device is not woken for.
create table push_mute (
  user_id      text collate "C" not null,
  device_id    text collate "C" not null,
  conversation bigint not null,
  primary key (user_id, device_id, conversation)
);

-- How far wake-ups have come in a conversation. No row = up to the end. No foreign key: a send must not wait for it.
create table push_cursor (
  conversation bigint primary key,
  -- devices without an open stream were woken for entries up to this one
  pushed_seq   bigint not null,
  -- the same for devices with an open stream; with held_until: they have until then to acknowledge this entry
  held_seq     bigint not null,
  held_until   timestamptz,
  next_at      timestamptz not null default clock_timestamp(),
  -- until the next look; longer while looks find nobody to wake
  pause        interval not null default '0'
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
create index push_cursor_next on push_cursor (next_at);
