import { afterEach, expect, test } from 'vitest';
import { auditConversations, auditNextKeyPackages } from '../../../store/consistency/audit.ts';
import { RULES } from '../../../store/consistency/rules.ts';
import { useDatabase } from '../../harness/database.ts';
import { send, sha256, startConversation } from '../../harness/requests.ts';

const database = useDatabase();

// The same users invite each other again and again.
afterEach(() => database().pool.query('truncate welcome'));

/**
 * One change of real rows, after which exactly these rules are broken. `c` is the row of the conversation. Most changes break one
 * rule; a lost entry also breaks the counts that it was in.
 */
const CORRUPTIONS: Readonly<Record<string, { readonly sql: string; readonly broken: readonly string[] }>> = {
  'a seq that is skipped (invariant 1)': {
    sql: `, moved as (update entry e set seq = 8 from c where e.conversation = c.key and e.seq = 7)
      update conversation set last_seq = 7 where key = (select key from c)`,
    broken: ['chain', 'chain-ends', 'seq-dense'],
  },
  'an entry of another kind': {
    sql: `update entry e set kind = 'note' from c where e.conversation = c.key and e.seq = 7`,
    broken: ['entry-kind'],
  },
  'a commit of a later epoch (invariant 2)': {
    sql: `update entry e set epoch = 7 from c where e.conversation = c.key and e.seq = 5`,
    broken: ['chain', 'entry-epoch', 'epoch-counts-commits', 'one-commit-per-epoch'],
  },
  'a message of an epoch to come (invariant 4)': {
    sql: `update entry e set epoch = 3 from c where e.conversation = c.key and e.seq = 6`,
    broken: ['chain', 'entry-epoch'],
  },
  'a time that runs backwards': {
    sql: `update entry e set at = at - interval '1 hour' from c where e.conversation = c.key and e.seq = 6`,
    broken: ['time-forward'],
  },
  'a message without its bytes (invariant 3)': {
    sql: `update entry e set ciphertext = null from c where e.conversation = c.key and e.seq = 6`,
    broken: ['entry-bytes'],
  },
  'a running count that is wrong (invariant 7)': {
    sql: `update entry e set app_count = e.app_count + 1 from c where e.conversation = c.key and e.seq = 5`,
    broken: ['running-count'],
  },
  'an entry with other bytes (invariant 13)': {
    sql: `update entry e set sha256 = sha256('other') from c where e.conversation = c.key and e.seq = 6`,
    broken: ['chain'],
  },
  'an entry without its value of the chain (invariant 13)': {
    sql: `update entry e set chain = null from c where e.conversation = c.key and e.seq = 6`,
    broken: ['chain'],
  },
  'a chain that ends elsewhere (invariant 13)': {
    sql: `update conversation set chain = sha256('other') where key = (select key from c)`,
    broken: ['chain-ends'],
  },
  'a sender who was no member (invariant 8)': {
    sql: `update entry e set sender = 'carol' from c where e.conversation = c.key and e.seq = 6`,
    broken: ['sender-was-member'],
  },
  'a last seq that is behind (invariant 1)': {
    sql: `update conversation set last_seq = last_seq + 1 where key = (select key from c)`,
    broken: ['chain-ends', 'last-seq'],
  },
  'an oldest entry that was not reached (invariant 1)': {
    sql: `update conversation set oldest_count = -1 where key = (select key from c)`,
    broken: ['message-count', 'oldest-entry', 'read-position', 'running-count'],
  },
  'a lost entry (invariant 1)': {
    sql: `delete from entry e using c where e.conversation = c.key and e.seq = 4`,
    broken: ['chain', 'last-seq', 'message-count', 'read-position', 'running-count', 'seq-dense'],
  },
  'an epoch without its commit (invariant 2)': {
    sql: `update conversation set epoch = epoch + 1 where key = (select key from c)`,
    broken: ['epoch-counts-commits'],
  },
  'a newest commit that is another (invariant 2)': {
    sql: `update conversation set last_commit_seq = 2 where key = (select key from c)`,
    broken: ['newest-commit'],
  },
  'a number of messages that is wrong (invariant 7)': {
    sql: `update conversation set app_count = app_count + 1 where key = (select key from c)`,
    broken: ['message-count'],
  },
  'a newest time that is past': {
    sql: `update conversation set last_at = last_at - interval '1 hour' where key = (select key from c)`,
    broken: ['newest-time'],
  },
  'a number of members that is wrong (invariant 6)': {
    sql: `update conversation set member_count = member_count + 1 where key = (select key from c)`,
    broken: ['member-count'],
  },
  'a read count that is not that of the log (invariant 7)': {
    sql: `update member m set read_count = read_count - 1 from c where m.conversation = c.key and m.user_id = 'bob'`,
    broken: ['read-position'],
  },
  'a read position beyond the log (invariant 7)': {
    sql: `update member m set read_seq = 100 from c where m.conversation = c.key and m.user_id = 'bob'`,
    broken: ['unread-bounds'],
  },
  'a member who is leaving': {
    sql: `update member m set leaving = true from c where m.conversation = c.key and m.user_id = 'bob'`,
    broken: ['member-state'],
  },
  'a member without an open interval (invariant 8)': {
    sql: `update period p set to_seq = 7 from c where p.conversation = c.key and p.user_id = 'bob'`,
    broken: ['interval-of-member', 'interval-open'],
  },
  'an interval that ends before the membership (invariant 8)': {
    sql: `update period p set to_seq = 4 from c where p.conversation = c.key and p.user_id = 'carol'`,
    broken: ['interval-of-member'],
  },
  'intervals that overlap (invariant 8)': {
    sql: `insert into period select key, 'dave', 1, 3 from c`,
    broken: ['interval-order'],
  },
  'an interval of a stranger (invariant 8)': {
    sql: `insert into period select key, 'mallory', 1, 3 from c`,
    broken: ['interval-has-member'],
  },
  'a Welcome of a commit that lost (invariant 6)': {
    sql: `update welcome w set epoch = 2 from c where w.conversation = c.key`,
    broken: ['welcome-has-commit'],
  },
  'a Welcome without its bytes (invariant 6)': {
    sql: `delete from welcome_body b using c where b.conversation = c.key`,
    broken: ['welcome-has-bytes'],
  },
  'a Welcome with the key package of another conversation (invariant 6)': {
    sql: `, package as (
        insert into key_package (ref, user_id, device_id, cipher_suite, key_package, last_resort, not_after, claimed_at, used_at, conversation)
        select sha256(id::bytea), 'dave', '', 1, '', false, now(), now(), now(), key + 1 from c returning ref)
      update welcome w set ref = p.ref from c, package p where w.conversation = c.key`,
    broken: ['welcome-key-package'],
  },
  'bytes of a Welcome that is of no commit (invariant 6)': {
    sql: `insert into welcome_body select key, 3, 'x' from c`,
    broken: ['welcome-bytes-have-commit'],
  },
  'bytes of a Welcome that nobody swept': {
    sql: `, aged as (update entry e set at = at - interval '100 days' from c where e.conversation = c.key)
      insert into welcome_body select key, 5, 'x' from c`,
    broken: ['welcome-bytes-orphaned'],
  },
  'a change beyond the log (invariant 5)': {
    sql: `insert into change (conversation, seq, kind) select key, 100, 'policy' from c`,
    broken: ['change-place'],
  },
  'a GroupInfo of an epoch to come (invariant 6)': {
    sql: `update group_info g set epoch = 100 from c where g.conversation = c.key`,
    broken: ['group-info-epoch'],
  },
  'staged bytes that nobody decided': {
    sql: `insert into staged (conversation, user_id, size, ciphertext, at) select key, 'alice', 1, 'x', now() - interval '2 hours' from c`,
    broken: ['staged-bytes-old'],
  },
  'an increment that nobody counted (invariant 7)': {
    sql: `insert into pending_increment (key, conversation, id, user_id, amount, at)
      select staged_key(), key, 'i', 'alice', 1, now() - interval '2 hours' from c`,
    broken: ['increment-old'],
  },
  'a deleted conversation that kept its rows': {
    sql: `update conversation set deleted_at = now(), due_at = null where key = (select key from c)`,
    broken: ['deleted-is-empty'],
  },
};

/** Seven entries in three epochs; dave was added with a Welcome, carol was removed, bob has read three entries. */
async function makeConversation(): Promise<string> {
  const { pool } = database();
  const id = await startConversation(pool, { protocol: 'opaque', members: ['alice', 'bob', 'carol'] });
  const { outcomes } = await send(pool, id, [
    { kind: 'message', id: 'm1', actor: 'alice', body: 'one', epoch: 0 },
    { kind: 'commit', id: 'c1', actor: 'alice', body: 'two', epoch: 0, adds: ['dave'], welcome: 'W', groupInfo: 'G' },
    { kind: 'message', id: 'm3', actor: 'bob', body: 'three', epoch: 1 },
    { kind: 'message', id: 'm4', actor: 'dave', body: 'four', epoch: 1 },
    { kind: 'commit', id: 'c5', actor: 'alice', body: 'five', epoch: 1, removes: ['carol'] },
    { kind: 'message', id: 'm6', actor: 'alice', body: 'six', epoch: 2 },
    { kind: 'message', type: 'proposal', id: 'p7', actor: 'alice', body: 'seven', epoch: 2 },
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(Array(7).fill('accepted'));
  return id;
}

async function brokenRules(id: string): Promise<string[]> {
  const { findings } = await auditConversations(database().pool, [id]);
  return [...new Set(findings.map(({ rule }) => rule))].sort();
}

test.each(Object.entries(CORRUPTIONS))('%s', async (_, { sql, broken }) => {
  const { pool } = database();
  const [sound, corrupt] = [await makeConversation(), await makeConversation()];
  expect((await auditConversations(pool, [sound, corrupt])).findings).toEqual([]);
  await pool.query(`with c as (select * from conversation where id = $1) ${sql}`, [corrupt]);
  expect(await brokenRules(corrupt)).toEqual(broken);
  expect(await brokenRules(sound)).toEqual([]);
});

test('a key package that was used and never claimed (invariant 6)', async () => {
  const { pool } = database();
  const id = await makeConversation();
  const add = (name: string, columns: string): Promise<unknown> =>
    pool.query(
      `insert into key_package (ref, user_id, device_id, cipher_suite, key_package, last_resort, not_after, claimed_at, used_at, conversation)
       select $1, 'erin', 'phone', 1, '', ${columns} from conversation where id = $2`,
      [sha256(name), id],
    );
  const soundOnes = await auditNextKeyPackages(pool, '');
  await add('sound', 'false, now(), now(), now(), key');
  await add('unused', 'false, now(), null, null, null');
  expect((await auditNextKeyPackages(pool, '')).found).toBe(soundOnes.found);
  await add('unclaimed', 'false, now(), null, now(), key');
  await add('of no conversation', 'false, now(), now(), now(), null');
  await add('last resort', 'true, now(), now(), now(), key');
  const { findings, found } = await auditNextKeyPackages(pool, '');
  expect(found - soundOnes.found).toBe(3);
  expect(findings.filter(({ rule }) => rule === 'key-package-used-once')).toHaveLength(found);
  // In the order of their refs, whatever the size of a slice.
  const seen: string[] = [];
  let after: string | undefined = '';
  while (after !== undefined) {
    const slice: Awaited<ReturnType<typeof auditNextKeyPackages>> = await auditNextKeyPackages(pool, after, 2);
    seen.push(...slice.findings.map(({ details }) => JSON.stringify(details)));
    after = slice.next;
  }
  expect(seen.sort()).toEqual(findings.map(({ details }) => JSON.stringify(details)).sort());
});

test('every rule is broken by a test', () => {
  const broken = new Set(Object.values(CORRUPTIONS).flatMap((corruption) => corruption.broken));
  expect(RULES.map(({ name }) => name).filter((name) => !broken.has(name))).toEqual(['key-package-used-once']);
  expect(new Set(RULES.map(({ name }) => name)).size).toBe(RULES.length);
});

test('an audit of named conversations ends at the deadline of its request, however many statements are left', async () => {
  const { pool } = database();
  const id = await startConversation(pool, { protocol: 'opaque' });
  await expect(auditConversations(pool, [id], { totalMs: 0 })).rejects.toMatchObject({ code: 'deadline' });
  expect((await auditConversations(pool, [id], { totalMs: 10_000 })).checked).toBe(1);
});
