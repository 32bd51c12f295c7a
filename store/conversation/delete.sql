-- Deletes a conversation for everybody; the actor is an admin. A tombstone stays, and purge_deleted() removes the rest.
create or replace function decide_delete(inout c conversation, op jsonb, out result jsonb)
language plpgsql as $$
begin
  c.deleted_at := clock_timestamp();
  c.due_at := c.deleted_at;
  result := '{"status": "accepted"}';
end $$;
