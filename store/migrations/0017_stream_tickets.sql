-- Tickets with which a browser's EventSource opens a stream (docs/adr/0034-stream-tickets.md).

create table stream_ticket (
  -- sha256 of the ticket, which stands nowhere
  hash             bytea primary key,
  user_id          text collate "C" not null,
  device_id        text collate "C" not null,
  -- whose stream it opens; '' = that of all conversations of the device
  conversation     text collate "C" not null,
  -- `exp` of the token that it was made with
  token_expires_at timestamptz not null,
  -- its `iat`; null = it had none. A device that was cut off since may not use the ticket
  token_issued_at  timestamptz,
  -- soon, until it was used once; then token_expires_at
  expires_at       timestamptz not null,
  -- when it was made, or used last
  used_at          timestamptz not null default clock_timestamp(),
  -- the newest stream that it opened
  stream_id        uuid
);
create index stream_ticket_user on stream_ticket (user_id, used_at);
create index stream_ticket_expiry on stream_ticket (expires_at);
