-- External commits (RFC 9420 §12.4.3.2): how somebody without a leaf joins by itself.

-- Step 5 of admit(): null when the user may join by an external commit. One who was removed by others, or is barred, needs an add; so
-- does a barred member that a reset left without a leaf, else a reset would be no way to leave it out.
create or replace function external_commit_refusal(c conversation, m member, op jsonb) returns jsonb
language sql stable as $$
  select case
    when m.user_id is not null and m.left_seq is null then
      case when c.policy ->> 'externalJoin' = 'nobody' or (m.awaited and is_barred(c.key, m.user_id)) then refusal('not-allowed') end
    when m.user_id is not null and not m.left_self then refusal('not-found')
    when is_barred(c.key, op ->> 'actor') then refusal('not-found')
    when c.policy ->> 'externalJoin' = 'anyone' then null
    else coalesce(removed_refusal(m.left_seq), refusal('not-found'))
  end
$$;
