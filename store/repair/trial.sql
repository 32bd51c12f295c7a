-- The trial of an outsider's epoch. Nobody but members can check that an external commit leads to an epoch in which they can go on
-- (docs/explanation/joining.md). So the first external commit of an outsider puts its epoch on trial, until a prior member follows:
-- until somebody who was a member before sends a message, proposal or commit in it, or acknowledges the commit (`POST /v1/ack`).
-- Meanwhile commits of further outsiders are refused, for outsider_trial() at most, so that the trial holds up nobody for ever.
-- And a report of one prior, proven member about the commit, or an entry after it, lets proven members reset without a vote: the
-- outsiders who joined since, and whom they brought in, are barred from the successor.

-- Whether somebody is no current member.
create or replace function is_outsider(m member) returns boolean
language sql immutable as $$ select m.user_id is null or m.left_seq is not null $$;

-- After the accepted external commit of an outsider, which is the newest entry. A trial that goes on keeps its beginning. Where
-- nobody was left there is nobody who could follow.
create or replace function begin_trial(inout c conversation)
language plpgsql as $$
begin
  if c.member_count = 1 then return; end if;
  c.trial_seq := coalesce(c.trial_seq, c.last_seq);
  c.trial_epoch := coalesce(c.trial_epoch, c.epoch);
  c.trial_until := c.last_at + outsider_trial();
end $$;

create or replace function end_trial(inout c conversation)
language plpgsql as $$
begin
  c.trial_seq := null;
  c.trial_epoch := null;
  c.trial_until := null;
end $$;

-- Ends the trial when a member acted in an epoch that it followed there as a prior member.
create or replace function end_trial_by(inout c conversation, p_user text, p_epoch bigint)
language plpgsql as $$
begin
  if p_epoch >= c.trial_epoch and exists (
    select from member where conversation = c.key and user_id = p_user and left_seq is null and joined_seq < c.trial_seq)
  then
    c := end_trial(c);
  end if;
end $$;

-- Whether a device of a prior member acknowledged the commit. Acknowledgements take no lock of a conversation, so they are looked
-- for where it matters.
create or replace function trial_was_followed(c conversation) returns boolean
language sql stable as $$
  select exists (
    select from (select user_id from device_position where conversation = c.key and seq >= c.trial_seq offset 0) d
    cross join lateral (
      select from member where conversation = c.key and user_id = d.user_id and left_seq is null and joined_seq < c.trial_seq limit 1) m)
$$;

-- Null when another outsider may join now.
create or replace function trial_refusal(c conversation) returns jsonb
language sql volatile as $$
  select case when c.trial_until > clock_timestamp() then refusal('rate-limited', jsonb_build_object(
    'detail', 'No member has followed the last outsider yet, who joined by an external commit',
    'forMs', ceil(extract(epoch from c.trial_until - clock_timestamp()) * 1000)::int)) end
$$;

-- Whether proven members may reset without a vote: a prior one reported the trial.
create or replace function trial_may_be_undone(c conversation) returns boolean
language plpgsql volatile as $$
begin
  if c.trial_seq is null then return false; end if;
  return exists (
      select from (
        select user_id from report where conversation = c.key and seq >= c.trial_seq
          and at > clock_timestamp() - report_lifetime() offset 0) r
      cross join lateral (select x as m from member x where conversation = c.key and user_id = r.user_id limit 1) y
      where is_prior(c, y.m))
    and not trial_was_followed(c);
end $$;

-- Whether a member is an outsider who joined since the trial began, or was brought in by one.
create or replace function on_trial(c conversation, m member) returns boolean
language sql immutable as $$ select coalesce(m.brought_by = '' and m.joined_seq >= c.trial_seq, false) $$;

-- Whether somebody is a proven member from before the trial.
create or replace function is_prior(c conversation, m member) returns boolean
language sql stable as $$ select m.left_seq is null and m.joined_seq < c.trial_seq and proven_since(m) is not null $$;

-- With whom those count as one whom this commit makes members (member.brought_by): null = each stands for itself.
create or replace function bringer(c conversation, m member) returns text
language sql volatile as $$
  select case
    -- Whom an outsider brings in during its trial goes with it, however long the trial lasts and whatever role it got meanwhile.
    when is_outsider(m) or on_trial(c, m) then ''
    when m.role = 'admin' then null
    -- One who stands for itself by now brings in others in its own name.
    when proven_since(m) <= clock_timestamp() - make_interval(hours => coalesce((c.policy ->> 'voteAfterHours')::int, default_vote_hours()))
      then m.user_id
    else coalesce(m.brought_by, m.user_id)
  end
$$;
