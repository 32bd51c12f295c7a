-- Of several streams `/v1/events` of a device the one that stands here goes on.
alter table device
  add column stream_id uuid,
  -- when it was opened
  add column stream_at timestamptz;

-- Open streams look at their own devices.
drop index device_low_stock;
