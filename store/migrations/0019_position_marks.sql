-- What a device knows of the log at the position that it acknowledged (store/log/position.sql). null = it acknowledged a plain seq.
alter table device_position add column mark text;
