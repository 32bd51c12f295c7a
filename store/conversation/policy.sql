-- The policy of a conversation.

-- Changes the parts of the policy that the operation states; null takes a part away. The actor is an admin.
create or replace function decide_policy(inout c conversation, op jsonb, out result jsonb)
language plpgsql as $$
begin
  c.policy := jsonb_strip_nulls(c.policy || policy_change(c.policy, op -> 'policy'));
  -- The timer looks again: the new retention may be shorter than the old.
  c.due_at := case when c.policy ? 'retentionDays' and c.last_seq > 0 then clock_timestamp()
    else (select min(expires_at) from welcome where conversation = c.key) end;
  perform record_change(c, 'policy', jsonb_build_object('policy', c.policy));
  result := jsonb_build_object('status', 'accepted', 'policy', c.policy);
end $$;

-- What an admin states, and what follows from it: a conversation that is opened to external commits requires a GroupInfo with
-- every commit, unless the admin says otherwise.
create or replace function policy_change(p_policy jsonb, p_stated jsonb) returns jsonb
language sql immutable as $$
  select case when p_policy ->> 'externalJoin' = 'nobody' and coalesce(p_stated ->> 'externalJoin', 'nobody') <> 'nobody'
    then '{"groupInfo": "required"}'::jsonb else '{}' end || p_stated
$$;
