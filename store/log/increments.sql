-- Adds to the unread count of every member but the actor. The base of a member holds the increments that do not count for it.
create or replace function decide_increment(inout c conversation, op jsonb, out result jsonb)
language plpgsql as $$
begin
  c.increments := c.increments + (op ->> 'by')::bigint;
  update member set increments_base = increments_base + (op ->> 'by')::bigint
    where conversation = c.key and user_id = op ->> 'actor';
  result := '{"status": "accepted"}';
end $$;
