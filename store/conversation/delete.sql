-- Deletes a conversation for everybody; the actor is an admin. A tombstone stays, and purge_deleted() removes the rest.
create or replace function decide_delete(inout c conversation, op jsonb, out result jsonb)
language plpgsql as $$
begin
  c.deleted_at := clock_timestamp();
  c.due_at := c.deleted_at;
  result := '{"status": "accepted"}';
end $$;

-- An operator deletes a conversation, whoever its admins are; who did it stands in the audit. False = there is none (any more).
create or replace function delete_by_operator(p_id text, p_operator text, p_details jsonb) returns boolean
language plpgsql as $$
declare
  c conversation;
begin
  perform expect_lock(p_id);
  select * into c from conversation where id = p_id;
  if not found or c.deleted_at is not null then return false; end if;
  update conversation set deleted_at = clock_timestamp(), due_at = clock_timestamp() where key = c.key;
  perform audit(c, p_operator, 'delete', p_details);
  return true;
end $$;
