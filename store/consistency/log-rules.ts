import type { Pass } from './rule.ts';

// $1: keys of conversations. `cross join lateral` with the key of one conversation: the rows come in the order of an index, so that
// nothing is sorted, and a statement holds as much in memory as one row needs. Scalar look-ups with `limit 1`: `exists` may be planned as
// one reading of the whole table.

/** Each entry with the one before it. They count again from the log, without the counters of the conversation. */
export const ENTRIES: Pass = {
  rows: `
    select c.key as conversation, c.oldest_seq, c.oldest_count, c.expired_seq, c.oldest_chain, c.chain_base, b.*, e.*
    from conversation c
    cross join lateral (select chain_of_base(c) as base_chain, coalesce((
      select epoch from entry where conversation = c.key and kind = 'commit' order by seq limit 1), c.epoch) as first_epoch) b
    cross join lateral (
      select seq, kind, epoch, at, app_count, ciphertext is null as bare, deleted, sender, sha256, chain,
        lag(seq) over w as before_seq, lag(chain) over w as before_chain, lag(app_count) over w as before_count, lag(at) over w as before_at,
        max(epoch) filter (where kind = 'commit') over (w rows between unbounded preceding and 1 preceding) as ended
      from entry where conversation = c.key window w as (order by seq)) e
    where c.key = any ($1) and c.deleted_at is null`,
  rules: [
    {
      name: 'seq-dense',
      invariant: 1,
      about: 'Each kept entry has the `seq` after the one before; the first has `oldest_seq`.',
      broken: 'x.seq <> coalesce(x.before_seq + 1, x.oldest_seq)',
      shows: ['seq', 'before_seq', 'oldest_seq'],
    },
    {
      name: 'entry-kind',
      about: 'An entry is an application message, a commit or a proposal.',
      broken: `x.kind not in ('application', 'commit', 'proposal')`,
      shows: ['seq', 'kind'],
    },
    {
      name: 'one-commit-per-epoch',
      invariant: 2,
      about: 'Commits end consecutive epochs, in the order of `seq`.',
      broken: `x.kind = 'commit' and x.epoch <> x.ended + 1`,
      shows: ['seq', 'epoch', 'ended'],
    },
    {
      name: 'entry-epoch',
      invariant: 4,
      about: 'An entry is of an epoch that was open when it got its `seq`.',
      // 4: the largest epochWindow that a policy may ever have had.
      broken: `x.kind <> 'commit' and (x.epoch > coalesce(x.ended + 1, x.first_epoch)
        or x.epoch < coalesce(x.ended + 1, x.first_epoch) - case when x.kind = 'application' then 4 else 0 end)`,
      shows: ['seq', 'kind', 'epoch', 'ended'],
    },
    {
      name: 'time-forward',
      about: 'Times of entries never run backwards.',
      broken: 'x.at < x.before_at',
      shows: ['seq', 'at', 'before_at'],
    },
    {
      name: 'entry-bytes',
      invariant: 3,
      about: 'An entry keeps its bytes until retention takes those of a message, or somebody deletes them.',
      broken: `x.bare <> (x.kind = 'application' and (x.seq <= x.expired_seq or x.deleted))`,
      shows: ['seq', 'kind', 'expired_seq', 'deleted'],
    },
    {
      name: 'running-count',
      invariant: 7,
      about: 'Each entry holds the number of application messages up to itself.',
      broken: `x.app_count <> coalesce(x.before_count, x.oldest_count) + case when x.kind = 'application' then 1 else 0 end`,
      shows: ['seq', 'app_count', 'before_count'],
    },
    {
      name: 'chain',
      invariant: 13,
      about:
        'Each entry has the value of the chain that follows from the entry before it; none if it is older than the chain.',
      broken: `case when coalesce(x.chain_base, x.seq) >= x.seq then x.chain is not null
        else x.chain is distinct from chain_after(case when x.seq = x.chain_base + 1 then x.base_chain
          else coalesce(x.before_chain, x.oldest_chain) end, x.seq, x.kind, x.epoch, x.sha256) end`,
      shows: ['seq', 'chain_base'],
    },
    {
      name: 'sender-was-member',
      invariant: 8,
      about:
        'Who sent a message or a commit had a membership interval at that `seq`. A proposal may be a request to join.',
      broken: `x.sender is not null and x.kind <> 'proposal' and (select true from period p where p.conversation = x.conversation
        and p.user_id = x.sender and p.from_seq <= x.seq and coalesce(p.to_seq, x.seq) >= x.seq limit 1) is null`,
      shows: ['seq', 'sender'],
    },
  ],
};

/** Each conversation with a recount of its log and its members. */
export const CONVERSATIONS: Pass = {
  rows: `
    select c.key as conversation, c.epoch, c.last_seq, c.app_count, c.oldest_seq, c.oldest_count, c.last_at, c.last_commit_seq,
      c.member_count, c.chain, c.chain_base, c.oldest_chain, chain_of_base(c) as base_chain, h.newest_chain, l.*, m.members, b.base
    from conversation c
    cross join lateral (
      select count(*) as entries, count(*) filter (where kind = 'application') as applications, max(at) as newest_at,
        count(*) filter (where kind = 'commit') as commits, max(seq) filter (where kind = 'commit') as newest_commit,
        max(epoch) filter (where kind = 'commit') as ended
      from entry where conversation = c.key) l
    cross join lateral (select count(*) as members from member where conversation = c.key and left_seq is null) m
    cross join lateral (select (select chain from entry where conversation = c.key and seq = c.last_seq) as newest_chain) h
    left join lateral (select joined_epoch as base from member where conversation = c.key and joined_seq = 0 limit 1) b on true
    where c.key = any ($1) and c.deleted_at is null`,
  rules: [
    {
      name: 'last-seq',
      invariant: 1,
      about: '`last_seq` is the number of entries that ever were.',
      broken: 'x.last_seq <> x.oldest_seq - 1 + x.entries',
      shows: ['last_seq', 'oldest_seq', 'entries'],
    },
    {
      name: 'oldest-entry',
      invariant: 1,
      about: 'The oldest kept entry was reached, and no more messages came before it than entries.',
      broken: `x.oldest_seq not between 1 and x.last_seq + 1
        or x.oldest_count not between 0 and least(x.app_count, x.oldest_seq - 1)`,
      shows: ['oldest_seq', 'oldest_count', 'last_seq', 'app_count'],
    },
    {
      name: 'epoch-counts-commits',
      invariant: 2,
      about:
        'The epoch is the one that the newest commit began; where the whole log is kept, the first epoch plus the commits.',
      broken: `x.epoch <> x.ended + 1 or (x.oldest_seq = 1 and x.epoch <> x.base + x.commits)`,
      shows: ['epoch', 'base', 'commits', 'ended'],
    },
    {
      name: 'chain-ends',
      invariant: 13,
      about:
        'The chain of a conversation has the value of its newest entry, and remembers the value before its oldest kept one.',
      broken: `x.chain is distinct from case when x.chain_base is null then null when x.last_seq = x.chain_base then x.base_chain
          when x.entries = 0 then x.oldest_chain else x.newest_chain end
        or x.oldest_seq - 1 = x.chain_base and x.oldest_chain is distinct from x.base_chain
        or (x.oldest_seq - 1 < x.chain_base) <> (x.oldest_chain is null)`,
      shows: ['last_seq', 'oldest_seq', 'chain_base'],
    },
    {
      name: 'newest-commit',
      invariant: 2,
      about: '`last_commit_seq` is the newest commit.',
      broken: `case when x.commits > 0 then x.last_commit_seq <> x.newest_commit
        else x.last_commit_seq not between 0 and x.oldest_seq - 1 end`,
      shows: ['last_commit_seq', 'newest_commit', 'oldest_seq'],
    },
    {
      name: 'message-count',
      invariant: 7,
      about: '`app_count` is the number of application messages that ever were.',
      broken: 'x.app_count <> x.oldest_count + x.applications',
      shows: ['app_count', 'oldest_count', 'applications'],
    },
    {
      name: 'newest-time',
      about: '`last_at` is not before the newest entry.',
      broken: 'x.last_at < x.newest_at',
      shows: ['last_at', 'newest_at'],
    },
    {
      name: 'member-count',
      invariant: 6,
      about: '`member_count` is the number of current members.',
      broken: 'x.member_count <> x.members',
      shows: ['member_count', 'members'],
    },
  ],
};
