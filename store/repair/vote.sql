-- The vote of a reset. A reset is open to every proven member while more than half of the electorate report that they are stuck.
--
-- A vote begins with a report while no other report counts, and lasts report_lifetime() at most; the next report then begins a new
-- one. So does a report about a later entry than all before: else a member could report the beginning of a young group, in which
-- hardly anybody is proven yet, and nobody else would have a vote for as long as that lasts.
-- The beginning fixes the electorate: who joins, or is proven, later has no vote in it. Who leaves loses its vote.
--
-- The electorate are the current members who were proven when the vote began, as follows.
--   1. One who was proven for the policy's voteAfterHours, or is a member since the creation, stands for itself: one vote.
--   2. One who was proven for a shorter time has no vote in a conversation that is older than these hours. In a younger one, which
--      must be able to repair itself, it counts together with others: all whom one plain member brought in, directly or through
--      others, have one vote with that member. So do all outsiders who joined by themselves, and whom they brought in.
--      One whom an admin brought in stands for itself: an admin could make it an admin, too.
--   3. For each such group one member speaks: the one who brought in the others, else the one who joined first.
-- So a member that invents others never has more votes than before, in numerator and denominator.

-- When the running vote began; a vote that would begin now when none runs.
create or replace function vote_time(c conversation) returns timestamptz
language sql volatile as $$
  select case when c.vote_at > clock_timestamp() - report_lifetime() then c.vote_at else clock_timestamp() end
$$;

-- The users who have a vote, one for each: of the members with votes, and of the groups that count as one.
create or replace function electorate(c conversation, p_at timestamptz) returns setof text
language plpgsql stable as $$
declare
  v_hours interval := make_interval(hours => coalesce((c.policy ->> 'voteAfterHours')::int, default_vote_hours()));
begin
  return query
    select distinct on (unit) x.user_id from (
      select p.user_id, p.joined_seq, p.settled, case when p.settled then p.user_id else coalesce(p.brought_by, p.user_id) end as unit
      from (
        select m.user_id, m.joined_seq, m.brought_by, s.at,
               s.at <= p_at - v_hours or (m.joined_seq = 0 and m.brought_by is null) as settled
        -- `offset 0`: look-ups by key, in this order, each once.
        from (select * from member where conversation = c.key and left_seq is null offset 0) m
        -- proven_since(); an earlier time makes no difference for those who stand for themselves.
        cross join lateral (select case when m.proven_at <= p_at - v_hours then m.proven_at else least(m.proven_at, (
          select at from proof where conversation = c.key and user_id = m.user_id and seq >= m.joined_seq limit 1)) end as at offset 0) s) p
      where p.at <= p_at and (p.settled or c.created_at > p_at - v_hours)) x
    order by unit, x.user_id = unit desc, x.joined_seq, x.user_id;
end $$;

-- How many votes are needed: more than half. Two at least where there are two members, so that nobody decides alone because it was
-- the only one to speak.
create or replace function majority(c conversation, p_electorate bigint) returns int
language sql immutable as $$ select greatest(p_electorate / 2 + 1, least(2, c.member_count))::int $$;

-- How many of these users reported within report_lifetime() that they are stuck, without an accepted commit since.
create or replace function count_reports(c conversation, p_users text[]) returns int
language sql volatile as $$
  select count(*)::int from report
  where conversation = c.key and at > clock_timestamp() - report_lifetime() and user_id = any (p_users)
$$;

-- Whether anybody's report counts: without one nothing else needs to be read.
create or replace function has_reports(c conversation) returns boolean
language sql volatile as $$
  select exists (select from report where conversation = c.key and at > clock_timestamp() - report_lifetime())
$$;

-- Whether the vote has opened a reset.
create or replace function reset_open(c conversation) returns boolean
language plpgsql volatile as $$
declare
  v_electorate text[];
begin
  if not has_reports(c) then return false; end if;
  v_electorate := array(select electorate(c, vote_time(c)));
  return count_reports(c, v_electorate) >= majority(c, cardinality(v_electorate));
end $$;

-- The votes for a reset.
create or replace function stuck_members(c conversation) returns int
language plpgsql volatile as $$
begin
  if not has_reports(c) then return 0; end if;
  return count_reports(c, array(select electorate(c, vote_time(c))));
end $$;

-- The votes that are needed.
create or replace function needed_reports(c conversation) returns int
language sql volatile as $$ select majority(c, (select count(*) from electorate(c, vote_time(c)))) $$;
