import type { Pass } from './rule.ts';

// $1: keys of conversations. These rows only wait, for a decision, a device or the sweep. The sweep takes what nobody needs within
// minutes, and leaves a conversation that somebody has locked to its next run.

/** What waits longer than this was forgotten. The sweep comes each minute, and takes staged bytes after ten. */
const OLD_MINUTES = 60;

export const STAGED: Pass = {
  rows: `
    select s.conversation, s.key, s.at, s.size from conversation c
    cross join lateral (select * from staged where conversation = c.key offset 0) s
    where c.key = any ($1)`,
  rules: [
    {
      name: 'staged-bytes-old',
      about: 'Staged bytes are decided or swept within an hour.',
      broken: `x.at < now() - make_interval(mins => ${OLD_MINUTES})`,
      shows: ['at', 'size'],
    },
  ],
};

export const PENDING_INCREMENTS: Pass = {
  rows: `
    select i.conversation, i.key, i.at from conversation c
    cross join lateral (select * from pending_increment where conversation = c.key offset 0) i
    where c.key = any ($1)`,
  rules: [
    {
      name: 'increment-old',
      invariant: 7,
      about: 'An increment that was answered is counted within an hour.',
      broken: `x.at < now() - make_interval(mins => ${OLD_MINUTES})`,
      shows: ['at'],
    },
  ],
};

export const CHANGES: Pass = {
  rows: `
    select c.key as conversation, c.last_seq, h.seq, h.kind from conversation c
    cross join lateral (select * from change where conversation = c.key offset 0) h
    where c.key = any ($1) and c.deleted_at is null`,
  rules: [
    {
      name: 'change-place',
      invariant: 5,
      about: 'A change stands at an entry that was reached.',
      broken: 'x.seq not between 0 and x.last_seq',
      shows: ['seq', 'kind', 'last_seq'],
    },
  ],
};

export const GROUP_INFOS: Pass = {
  rows: `
    select c.key as conversation, c.epoch, g.epoch as of from conversation c
    cross join lateral (select epoch from group_info where conversation = c.key offset 0) g
    where c.key = any ($1) and c.deleted_at is null`,
  rules: [
    {
      name: 'group-info-epoch',
      invariant: 6,
      about: 'A GroupInfo is of an epoch that was reached.',
      broken: 'x.of > x.epoch',
      shows: ['of', 'epoch'],
    },
  ],
};

/** Deleted conversations whose rows are said to be gone: then they have no due time. */
export const DELETED: Pass = {
  rows: `
    select c.key as conversation, c.deleted_at,
      (select true from entry where conversation = c.key limit 1) as entries,
      (select true from member where conversation = c.key limit 1) as members,
      (select true from period where conversation = c.key limit 1) as intervals,
      (select true from welcome where conversation = c.key limit 1) as welcomes,
      (select true from welcome_body where conversation = c.key limit 1) as bodies
    from conversation c where c.key = any ($1) and c.deleted_at is not null and c.due_at is null`,
  rules: [
    {
      name: 'deleted-is-empty',
      about: 'Of a deleted conversation nothing stays but its tombstone.',
      broken: 'coalesce(x.entries, x.members, x.intervals, x.welcomes, x.bodies, false)',
      shows: ['deleted_at', 'entries', 'members', 'intervals', 'welcomes', 'bodies'],
    },
  ],
};
