import type { Pass } from './rule.ts';

// $1: keys of conversations.

/** Each member, also former ones, with the entry at its read position and its membership intervals. */
export const MEMBERS: Pass = {
  rows: `
    select c.key as conversation, c.last_seq, c.app_count, c.increments, c.oldest_seq, c.oldest_count,
      m.user_id as "user", m.role, m.leaving, m.joined_seq, m.left_seq, m.read_seq, m.read_count, m.increments_base,
      r.recount, o.open, n.from_seq, n.to_seq
    from conversation c
    cross join lateral (select * from member where conversation = c.key offset 0) m
    left join lateral (select app_count as recount from entry where conversation = c.key and seq = m.read_seq limit 1) r on true
    cross join lateral (
      select count(*) filter (where to_seq is null) as open from period where conversation = c.key and user_id = m.user_id) o
    left join lateral (
      select from_seq, to_seq from period where conversation = c.key and user_id = m.user_id
      order by from_seq desc limit 1) n on true
    where c.key = any ($1) and c.deleted_at is null`,
  rules: [
    {
      name: 'read-position',
      invariant: 7,
      about: 'The count at a read position is the one that the log has there.',
      // A position before the oldest kept entry cannot be counted again: there were no more messages before it than entries.
      broken: `case when x.read_seq > x.last_seq then false
        when x.read_seq >= x.oldest_seq then x.read_count is distinct from x.recount
        when x.read_seq = x.oldest_seq - 1 then x.read_count <> x.oldest_count
        else x.read_count not between 0 and least(x.read_seq, x.oldest_count) end`,
      shows: ['user', 'read_seq', 'read_count', 'recount', 'oldest_count'],
    },
    {
      name: 'unread-bounds',
      invariant: 7,
      about: 'Nobody has read more than there is, and no unread count is below zero.',
      broken: `x.read_seq not between 0 and x.last_seq or x.read_count > x.app_count
        or x.increments_base not between 0 and x.increments`,
      shows: ['user', 'read_seq', 'last_seq', 'read_count', 'app_count', 'increments_base', 'increments'],
    },
    {
      name: 'member-state',
      about: 'Only former members are leaving, and former members have no role.',
      broken: `case when x.left_seq is null then x.leaving else x.role <> 'member' end`,
      shows: ['user', 'role', 'leaving', 'left_seq'],
    },
    {
      name: 'interval-open',
      invariant: 8,
      about: 'A member has one open membership interval, a former member none.',
      broken: 'x.open <> case when x.left_seq is null then 1 else 0 end',
      shows: ['user', 'open', 'left_seq'],
    },
    {
      name: 'interval-of-member',
      invariant: 8,
      about: 'The newest membership interval begins and ends where the membership does.',
      broken: 'x.from_seq is distinct from greatest(x.joined_seq, 1) or x.to_seq is distinct from x.left_seq',
      shows: ['user', 'joined_seq', 'left_seq', 'from_seq', 'to_seq'],
    },
  ],
};

/** Each membership interval with the one before it. */
export const INTERVALS: Pass = {
  rows: `
    select c.key as conversation, c.oldest_seq, p.*
    from conversation c
    cross join lateral (
      select user_id as "user", from_seq, to_seq, lag(to_seq) over w as before_to, row_number() over w as n
      from period where conversation = c.key window w as (partition by user_id order by from_seq)) p
    where c.key = any ($1) and c.deleted_at is null`,
  rules: [
    {
      name: 'interval-order',
      invariant: 8,
      about: 'Membership intervals follow one another, and begin at the start or with a commit.',
      // One that ended before the first entry is empty: from 1 to 0.
      broken: `(x.n > 1 and (x.before_to is null or x.before_to >= x.from_seq))
        or x.to_seq < x.from_seq - case when x.from_seq = 1 then 1 else 0 end
        or (x.from_seq > 1 and x.from_seq >= x.oldest_seq and (
          select true from entry where conversation = x.conversation and seq = x.from_seq and kind = 'commit' limit 1) is null)`,
      shows: ['user', 'from_seq', 'to_seq', 'before_to'],
    },
    {
      name: 'interval-has-member',
      invariant: 8,
      about: 'Whoever has a membership interval is or was a member.',
      broken: '(select true from member where conversation = x.conversation and user_id = x."user" limit 1) is null',
      shows: ['user', 'from_seq', 'to_seq'],
    },
  ],
};
