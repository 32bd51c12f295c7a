-- A conversation that everybody left: nobody can come back into most of them, and nobody can delete them. It is deleted some time after
-- its last member left, unless somebody joins again.

-- The conversation with the time at which it became empty, or without it.
create or replace function with_abandonment(c conversation) returns conversation
language plpgsql volatile as $$
begin
  c.abandoned_at := case when c.member_count = 0 then clock_timestamp() end;
  c.due_at := least(c.due_at, abandoned_until(c));
  return c;
end $$;

-- When an empty conversation is to be deleted; null = never, or it has members.
create or replace function abandoned_until(c conversation) returns timestamptz
language sql stable as $$
  select c.abandoned_at + case (c.policy ->> 'abandonedDays')::int
    when 0 then null
    else make_interval(days => coalesce((c.policy ->> 'abandonedDays')::int, default_abandoned_days())) end
$$;
