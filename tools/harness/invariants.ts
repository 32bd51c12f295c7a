import type pg from 'pg';

/**
 * What must hold of a conversation at every moment, whatever happened: each query returns the rows that break it. `$1` is
 * the conversation's key. They count again from the log, without the counters that they check.
 */
const INVARIANTS: Readonly<Record<string, string>> = {
  'invariant 1: seq is dense from the first entry that is kept': `
    select e.seq, e.expected from (
      select e.seq, c.oldest_seq - 1 + row_number() over (order by e.seq) as expected
      from entry e join conversation c on c.key = e.conversation where c.key = $1) e
    where e.seq <> e.expected
    union all
    select c.last_seq, c.oldest_seq - 1 + count(e.seq) from conversation c left join entry e on e.conversation = c.key
    where c.key = $1 group by c.key having c.last_seq <> c.oldest_seq - 1 + count(e.seq)`,
  'invariant 1: the first entry that is kept is one that was reached': `
    select oldest_seq, oldest_count, last_seq, app_count from conversation where key = $1
      and (oldest_seq not between 1 and last_seq + 1 or oldest_count not between 0 and least(app_count, oldest_seq - 1))`,
  'invariant 2: commits end consecutive epochs, in order of seq, up to the current one': `
    select x.* from (
      select seq, epoch, lead(epoch, 1, (select epoch from conversation where key = $1)) over (order by seq) as next
      from entry where conversation = $1 and kind = 'commit') x
    where x.next <> x.epoch + 1`,
  'invariant 2: the newest commit is known': `
    select c.last_commit_seq from conversation c where c.key = $1 and case
      when exists (select from entry where conversation = $1 and kind = 'commit')
        then c.last_commit_seq <> (select max(seq) from entry where conversation = $1 and kind = 'commit')
      else c.last_commit_seq not between 0 and c.oldest_seq - 1 end`,
  'invariant 4: entries belong to an epoch that was open when they got their seq': `
    select x.* from (
      select seq, kind, epoch, coalesce(
        max(epoch + 1) filter (where kind = 'commit') over (order by seq rows between unbounded preceding and 1 preceding),
        (select coalesce(min(k.epoch), (select epoch from conversation where key = $1)) from entry k
          where k.conversation = $1 and k.kind = 'commit')) as current
      from entry where conversation = $1) x
    where x.epoch > x.current or x.epoch < x.current - case when x.kind = 'application' then 4 else 0 end`,
  'every entry is of a known kind': `
    select seq, kind from entry where conversation = $1 and kind not in ('application', 'commit', 'proposal')`,
  'times never run backwards': `
    select x.* from (select seq, at, lag(at) over (order by seq) as before from entry where conversation = $1) x
    where x.at < x.before
    union all
    select 0, c.last_at, max(e.at) from conversation c join entry e on e.conversation = c.key
    where c.key = $1 group by c.last_at having c.last_at < max(e.at)`,
  'invariant 3: an entry keeps its bytes until retention takes them': `
    select e.seq from entry e join conversation c on c.key = e.conversation where c.key = $1
      and (e.ciphertext is null) <> (e.kind = 'application' and e.seq <= c.expired_seq)`,
  'invariant 7: each entry holds the running application count': `
    select x.* from (
      select e.seq, e.app_count, c.oldest_count + count(*) filter (where e.kind = 'application') over (order by e.seq) as expected
      from entry e join conversation c on c.key = e.conversation where c.key = $1) x
    where x.app_count <> x.expected
    union all
    select 0, c.app_count, c.oldest_count + count(*) filter (where e.kind = 'application')
    from conversation c left join entry e on e.conversation = c.key
    where c.key = $1 group by c.key having c.app_count <> c.oldest_count + count(*) filter (where e.kind = 'application')`,
  // A position before the horizon cannot be recounted any more: there were no more messages before it than entries.
  'invariant 7: unread is what a recount of the log gives': `
    with log as materialized (
      select e.seq, c.oldest_count + count(*) filter (where e.kind = 'application') over (order by e.seq) as applications
      from entry e join conversation c on c.key = e.conversation where c.key = $1)
    select m.user_id, m.read_seq, m.read_count, l.applications as recount, m.increments_base
    from conversation c join member m on m.conversation = c.key left join log l on l.seq = m.read_seq
    where c.key = $1 and (case
        when m.read_seq >= c.oldest_seq then m.read_count is distinct from l.applications
        when m.read_seq = c.oldest_seq - 1 then m.read_count <> c.oldest_count
        else m.read_count not between 0 and least(m.read_seq, c.oldest_count) end
      or m.read_seq not between 0 and c.last_seq or m.increments_base not between 0 and c.increments)`,
  'invariant 8: members have one open stay, others none': `
    select m.user_id, m.left_seq, count(p.from_seq) as open
    from member m left join period p
      on p.conversation = m.conversation and p.user_id = m.user_id and p.to_seq is null
    where m.conversation = $1 group by m.user_id, m.left_seq
    having count(p.from_seq) <> case when m.left_seq is null then 1 else 0 end`,
  'invariant 8: stays follow one another, and begin at the start or with a commit': `
    select x.* from (
      select p.user_id, p.from_seq, p.to_seq,
        lag(p.to_seq) over (partition by p.user_id order by p.from_seq) as before,
        row_number() over (partition by p.user_id order by p.from_seq) as n
      from period p where p.conversation = $1) x
    where (x.n > 1 and (x.before is null or x.before >= x.from_seq))
      or x.to_seq < x.from_seq - case when x.from_seq = 1 then 1 else 0 end
      or (x.from_seq > 1 and x.from_seq >= (select oldest_seq from conversation where key = $1) and not exists (
        select from entry e where e.conversation = $1 and e.seq = x.from_seq and e.kind = 'commit'))`,
  'invariant 8: the newest stay is the one that the membership tells of': `
    select m.user_id, m.joined_seq, m.left_seq, p.from_seq, p.to_seq from member m left join lateral (
      select from_seq, to_seq from period p
      where p.conversation = m.conversation and p.user_id = m.user_id order by from_seq desc limit 1) p on true
    where m.conversation = $1 and (p.from_seq is distinct from greatest(m.joined_seq, 1)
      or p.to_seq is distinct from m.left_seq)`,
  'invariant 8: nobody sent outside of a stay': `
    select e.seq, e.sender from entry e where e.conversation = $1 and e.sender is not null and not exists (
      select from period p where p.conversation = $1 and p.user_id = e.sender
        and p.from_seq <= e.seq and coalesce(p.to_seq, e.seq) >= e.seq)`,
  'the members are counted': `
    select c.member_count, count(m.user_id) from conversation c
    left join member m on m.conversation = c.key and m.left_seq is null
    where c.key = $1 group by c.member_count having c.member_count <> count(m.user_id)`,
  'only former members are leaving, and former members have no role': `
    select user_id from member where conversation = $1 and left_seq is null and leaving
    union all
    select user_id from member where conversation = $1 and left_seq is not null and role <> 'member'`,
  'invariant 6: a Welcome belongs to an accepted commit and to a current member': `
    select w.user_id, w.device_id, w.seq from welcome w join conversation c on c.key = w.conversation
    where c.key = $1 and not exists (
      select from member m where m.conversation = $1 and m.user_id = w.user_id and m.left_seq is null
        and m.joined_seq <= w.seq and (w.seq < c.oldest_seq or exists (
          select from entry e where e.conversation = $1 and e.seq = w.seq and e.kind = 'commit' and e.epoch + 1 = w.epoch)))`,
  'invariant 6: a Welcome has its bytes, and names a key package of the device that it is for': `
    select w.user_id, w.device_id, w.seq from welcome w where w.conversation = $1 and (
      not exists (select from welcome_body b where b.conversation = $1 and b.seq = w.seq)
      or exists (select from key_package k where k.ref = w.ref
        and (k.user_id, k.device_id) is distinct from (w.user_id, w.device_id)))`,
  'invariant 6: bytes of Welcomes belong to accepted commits': `
    select b.seq from welcome_body b join conversation c on c.key = b.conversation
    where c.key = $1 and b.seq >= c.oldest_seq and not exists (
      select from entry e where e.conversation = $1 and e.seq = b.seq and e.kind = 'commit')`,
  // One commit per conversation and ref stands in the row itself: what else could name it twice is a Welcome.
  'invariant 6: a key package is claimed before it is used, and welcomes once': `
    select k.ref, count(w.id) as welcomes from key_package k left join welcome w on w.ref = k.ref
    where not k.last_resort and (k.conversation = $1 or w.conversation = $1)
    group by k.ref
    having count(w.id) > 1 or bool_or(k.claimed_at is null) or bool_or((k.conversation is null) <> (k.used_at is null))
      or bool_or(w.conversation is distinct from k.conversation and w.id is not null)`,
  'changes stand at entries that were reached': `
    select h.seq, h.kind from change h join conversation c on c.key = h.conversation
    where c.key = $1 and h.seq not between 0 and c.last_seq`,
  'invariant 6: a GroupInfo is of an epoch that was reached': `
    select g.epoch from group_info g join conversation c on c.key = g.conversation
    where c.key = $1 and g.epoch > c.epoch`,
};

/**
 * Checks every invariant of a conversation by SQL, in one snapshot, so that it may be called while writers are at work.
 * @param isChecked chooses invariants by their name. @default all
 * @throws with each broken invariant and its rows
 */
export async function checkInvariants(
  pool: pg.Pool,
  conversation: string,
  isChecked: (name: string) => boolean = () => true,
): Promise<void> {
  const client = await pool.connect();
  const broken: string[] = [];
  try {
    await client.query('begin isolation level repeatable read read only');
    // A recount reads whole logs, which the settings of the pool keep everything else from doing.
    await client.query('set local enable_hashjoin = on; set local statement_timeout = 60000');
    const { rows } = await client.query<{ key: number }>(
      'select key from conversation where id = $1 and deleted_at is null',
      [conversation],
    );
    const key = rows[0]?.key;
    if (key === undefined) throw new Error(`There is no conversation ${conversation} to check`);
    for (const [name, sql] of Object.entries(INVARIANTS)) {
      if (!isChecked(name)) continue;
      const found = await client.query<Record<string, unknown>>(sql, [key]);
      if (found.rows.length > 0) {
        broken.push(`${name}: ${JSON.stringify(found.rows.slice(0, 5))} (${found.rows.length} rows)`);
      }
    }
  } finally {
    await client.query('rollback').finally(() => client.release());
  }
  if (broken.length > 0) throw new Error(`Conversation ${conversation} is broken\n${broken.join('\n')}`);
}
