-- Made from domain/limits.ts by `npm run sql-files`: change the numbers there.

create or replace function max_safe_epoch() returns bigint language sql immutable as $$ select 9007199254740991 $$;
create or replace function max_proposals_per_epoch() returns int language sql immutable as $$ select 3 $$;
create or replace function min_message_run() returns int language sql immutable as $$ select 8 $$;
create or replace function lost_commits_for_reservation() returns int language sql immutable as $$ select 3 $$;
create or replace function accepted_commits_for_backoff() returns int language sql immutable as $$ select 5 $$;
create or replace function commit_retention_factor() returns int language sql immutable as $$ select 4 $$;
create or replace function max_reservation() returns interval language sql immutable as $$ select interval '300 milliseconds' $$;
create or replace function commit_contention() returns interval language sql immutable as $$ select interval '10 seconds' $$;
create or replace function reservation_pause() returns interval language sql immutable as $$ select interval '1 minutes' $$;
create or replace function commit_backoff() returns interval language sql immutable as $$ select interval '1 seconds' $$;
create or replace function max_commit_backoff() returns interval language sql immutable as $$ select interval '5 seconds' $$;
create or replace function welcome_lifetime() returns interval language sql immutable as $$ select interval '30 days' $$;
create or replace function claim_lifetime() returns interval language sql immutable as $$ select interval '24 hours' $$;
create or replace function claim_rate() returns interval language sql immutable as $$ select interval '1 minutes' $$;
create or replace function computed_tree_lifetime() returns interval language sql immutable as $$ select interval '1 minutes' $$;
create or replace function report_lifetime() returns interval language sql immutable as $$ select interval '7 days' $$;
create or replace function former_member_lifetime() returns interval language sql immutable as $$ select interval '30 days' $$;
create or replace function device_activity() returns interval language sql immutable as $$ select interval '30 days' $$;
