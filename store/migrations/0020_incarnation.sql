-- Which branch of its history the database is on (docs/adr/0044-incarnation.md).

-- One row. A backup brings back an older one.
create table incarnation (
  only_row          boolean primary key default true check (only_row),
  -- what devices are told. Random: a number would come again on another branch
  id                uuid not null default gen_random_uuid(),
  since             timestamptz not null default clock_timestamp(),
  -- where the database was when somebody looked last; null = nobody did, or the server does not say it
  system_identifier bigint,
  timeline_id       bigint,
  database_oid      bigint
);
insert into incarnation default values;
