import { createHash, randomBytes } from 'node:crypto';
import type pg from 'pg';
import { expect, test } from 'vitest';
import { auditConversations } from '../../../store/consistency/audit.ts';
import { readPage } from '../../../store/log/entries.ts';
import { type DeletedEntry, deleteBody } from '../../../store/message/delete-body.ts';
import { retain } from '../../../store/retention/retention.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { useDatabase } from '../../harness/database.ts';
import { type Request, send, sendOne, sendStaged, sha256, startConversation } from '../../harness/requests.ts';
import { unreadOf } from '../../harness/unread.ts';
import { holdRows } from '../../harness/row-locks.ts';

const database = useDatabase();
const secretOf = (id: string): Buffer => createHash('sha256').update(`secret of ${id}`).digest();
const hashOf = (id: string): string => createHash('sha256').update(secretOf(id)).digest('hex');
type Message = Extract<Request, { kind: 'message' }>;
const message = (id: string, more: Partial<Message> = {}): Message => ({
  kind: 'message',
  id,
  actor: 'alice',
  body: `body of ${id}`,
  epoch: 0,
  deleteHash: hashOf(id),
  ...more,
});

/** What a user's attempt is answered: `deleted`, or the code of its refusal. */
async function attempt(conversation: string, user: string, seq: number, secret?: Uint8Array): Promise<string> {
  const answer = await deleteBody(database().pool, { conversation, user, seq, secret });
  return 'status' in answer ? answer.code : 'deleted';
}

/** Tables of the schema in which the bytes stand, in whatever column. */
async function tablesWith(pool: pg.Pool, body: string): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'parley'::regnamespace and relkind in ('r', 'p')`,
  );
  const found: string[] = [];
  for (const { name } of rows) {
    const { rowCount } = await pool.query(
      `select from parley."${name}" t where t::text like '%' || $1 || '%' limit 1`,
      [Buffer.from(body).toString('hex')],
    );
    if (rowCount !== 0) found.push(name);
  }
  return found.sort();
}

test('who shows the secret deletes the body; without it only an admin, where the policy lets it', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { members: ['alice', 'bob', 'carol'] });
  // Seqs 1 to 5; the commit removes carol.
  await send(pool, conversation, [
    message('m1', { actor: 'bob' }),
    message('m2', { actor: 'bob' }),
    message('m3', { actor: 'bob', deleteHash: undefined }),
    { kind: 'message', id: 'p', type: 'proposal', actor: 'bob', body: 'proposal', epoch: 0 },
    { kind: 'commit', id: 'c', actor: 'alice', body: 'commit', epoch: 0, removes: ['carol'] },
    message('m6', { actor: 'bob', epoch: 1 }),
  ]);
  const secret = secretOf('m1');
  // What every reader knows proves nothing: the id, the hash of the bytes, the deleteHash itself.
  for (const known of [Buffer.from('m1'), sha256('body of m1'), Buffer.from(hashOf('m1'), 'hex'), secretOf('m2')]) {
    expect(await attempt(conversation, 'bob', 1, known)).toBe('not-allowed');
    expect(await attempt(conversation, 'alice', 1, known)).toBe('not-allowed');
  }
  expect(await attempt(conversation, 'bob', 1)).toBe('not-allowed');
  expect(await attempt(conversation, 'bob', 3, secret)).toBe('not-allowed');
  for (const seq of [0, 7, 1000]) expect(await attempt(conversation, 'alice', seq, secret)).toBe('not-found');
  for (const seq of [4, 5]) expect(await attempt(conversation, 'alice', seq)).toBe('not-allowed');
  expect(await attempt(conversation, 'carol', 1, secret)).toBe('removed');
  expect(await attempt(conversation, 'mallory', 1, secret)).toBe('not-found');
  expect(await attempt('nowhere', 'alice', 1, secret)).toBe('not-found');
  await sendOne(pool, conversation, { kind: 'policy', id: 'p1', actor: 'alice', policy: { whoMayDelete: 'nobody' } });
  expect(await attempt(conversation, 'alice', 2)).toBe('not-allowed');

  // Any member that shows it: the secret names nobody. In the database nothing says who did.
  expect(await attempt(conversation, 'bob', 1, secret)).toBe('deleted');
  expect(await deleteBody(pool, { conversation, user: 'bob', seq: 6, secret: secretOf('m6') })).toMatchObject({
    seq: 6,
    kind: 'application',
    epoch: 1,
    sha256: sha256('body of m6').toString('hex'),
    isNew: true,
  });
  const changes = await pool.query<{ data: unknown }>(
    `select data from change where kind = 'body-deleted' order by key`,
  );
  expect(changes.rows.map(({ data }) => data)).toEqual([{ entry: 1 }, { entry: 6 }]);
  expect((await pool.query(`select from audit where action = 'delete-body'`)).rowCount).toBe(0);

  await sendOne(pool, conversation, { kind: 'policy', id: 'p2', actor: 'alice', policy: { whoMayDelete: 'admin' } });
  expect(await attempt(conversation, 'alice', 3)).toBe('deleted');
  expect((await pool.query(`select actor, details from audit where action = 'delete-body'`)).rows).toEqual([
    { actor: 'alice', details: { seq: 3 } },
  ]);
  await checkInvariants(pool, conversation);
});

test('somebody who joined later deletes nothing from before, and a member without a leaf nothing of others', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  await send(pool, conversation, [
    message('m1'),
    { kind: 'commit', id: 'c', actor: 'alice', body: 'commit', epoch: 0, adds: ['dave'] },
    message('m3', { epoch: 1 }),
    { kind: 'role', id: 'r', actor: 'alice', user: 'dave', role: 'admin' },
  ]);
  expect(await attempt(conversation, 'dave', 1)).toBe('not-found');
  expect(await attempt(conversation, 'dave', 1, secretOf('m1'))).toBe('not-found');
  await pool.query(`update member set awaited = true where user_id = 'dave'`);
  expect(await attempt(conversation, 'dave', 3)).toBe('not-allowed');
  expect(await attempt(conversation, 'dave', 3, secretOf('m3'))).toBe('deleted');
});

test('the bytes are gone everywhere, and all that depends on them goes on', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { members: ['alice', 'bob'], policy: { retentionDays: 7 } });
  const body = `planted ${randomBytes(8).toString('hex')}`;
  await send(pool, conversation, [message('m1'), message('m2', { body }), message('m3')]);
  // A retry is on its way through the workflow.
  const [staged] = await pool
    .query<{ key: number }>(
      `insert into staged (key, conversation, user_id, epoch, size, ciphertext) overriding system value
     select 1, key, 'alice', 0, $2, $3 from conversation where id = $1 returning key`,
      [conversation, body.length, Buffer.from(body)],
    )
    .then(({ rows }) => rows);
  expect(await tablesWith(pool, body)).toEqual(['entry', 'staged']);
  const before = await readPage(pool, conversation, 'bob', 0, 10);
  const secret = secretOf('m2');
  const first = (await deleteBody(pool, { conversation, user: 'alice', seq: 2, secret })) as DeletedEntry;
  expect(await tablesWith(pool, body)).toEqual([]);

  // Repeated: the same answer, and nothing more to tell.
  expect(await deleteBody(pool, { conversation, user: 'bob', seq: 2, secret })).toEqual({ ...first, isNew: false });
  expect(await attempt(conversation, 'bob', 2, secretOf('m1'))).toBe('not-allowed');
  const { rows } = await pool.query(
    `select c.deletions, (select count(*)::int from change x where x.conversation = c.key and x.kind = 'body-deleted') as told
     from conversation c where c.id = $1`,
    [conversation],
  );
  expect(rows).toEqual([{ deletions: 1, told: 1 }]);

  const page = await readPage(pool, conversation, 'bob', 0, 10);
  const [, entry] = page?.entries ?? [];
  expect(entry).toMatchObject({ seq: 2, ciphertext: null, isDeleted: true, chain: before?.entries[1]?.chain });
  expect(page?.entries.map(({ isDeleted }) => isDeleted)).toEqual([false, true, false]);
  // It counts until it was passed: the counts of the log do not change.
  expect(await unreadOf(pool, conversation, 'bob')).toBe(3);
  expect(await sendOne(pool, conversation, { kind: 'read', id: 'r', actor: 'bob', seq: 2 })).toMatchObject({
    unread: 1,
  });
  // The retry gets the first answer, with and without its bytes, and brings nothing back.
  const retry = {
    kind: 'message',
    id: 'm2',
    sha256: first.sha256,
    deleteHash: hashOf('m2'),
    size: 1,
    body: staged?.key,
  };
  const { outcomes } = await sendAs(pool, conversation, retry);
  expect(outcomes).toMatchObject([{ status: 'accepted', seq: 2 }]);
  expect(await sendOne(pool, conversation, message('m2', { body }))).toMatchObject({ status: 'duplicate', seq: 2 });
  expect(await tablesWith(pool, body)).toEqual([]);
  await checkInvariants(pool, conversation);
  expect((await auditConversations(pool, [conversation])).findings).toEqual([]);

  // An expired message may still be deleted: devices have what they read.
  await pool.query(`insert into device (user_id, device_id) values ('bob', 'phone')`);
  await pool.query(`update entry set at = at - interval '8 days'`);
  await retain(pool, conversation, Date.now(), 100);
  const expired = await readPage(pool, conversation, 'bob', 2, 10);
  expect(expired?.entries).toMatchObject([{ seq: 3, ciphertext: null, isDeleted: false }]);
  expect(await attempt(conversation, 'alice', 3, secretOf('m3'))).toBe('deleted');
  await checkInvariants(pool, conversation);
});

test('the hash is a part of the message: an id with another one is used already, on every way (invariant 3)', async () => {
  const { pool } = database();
  const ways = {
    inline: send,
    staged: async (...call: Parameters<typeof send>) => (await sendStaged(...call)).decision,
  };
  for (const [name, way] of Object.entries(ways)) {
    // One by one, and as a run that one statement decides.
    for (const count of [1, 12]) {
      const conversation = await startConversation(pool, { protocol: 'opaque' });
      const all = (more: (id: string) => Partial<Message>): Message[] =>
        Array.from({ length: count }, (_, i) => message(`m${i}`, more(`m${i}`)));
      const outcomes = async (requests: readonly Request[]): Promise<(string | undefined)[]> =>
        (await way(pool, conversation, requests)).outcomes.map((one) =>
          one.status === 'refused' ? one.code : one.status,
        );
      const what = `${name}, ${count}`;
      const every = (status: string): string[] => Array.from({ length: count }, () => status);
      expect(await outcomes(all(() => ({}))), what).toEqual(every('accepted'));
      expect(await outcomes(all(() => ({}))), what).toEqual(every('duplicate'));
      expect(await outcomes(all((id) => ({ deleteHash: hashOf(`other ${id}`) }))), what).toEqual(every('id-reused'));
      expect(await outcomes(all(() => ({ deleteHash: undefined }))), what).toEqual(every('id-reused'));
      expect(await attempt(conversation, 'bob', count, secretOf(`m${count - 1}`)), what).toBe('deleted');
      // Without a hash nobody can add one later.
      expect(await outcomes([message('bare', { deleteHash: undefined }), message('bare')]), what).toEqual([
        'accepted',
        'id-reused',
      ]);
    }
  }
});

test('who may not delete never asks for the lock, and who may waits for a short time', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool);
  await send(pool, conversation, [message('m1')]);
  const release = await holdRows(database().url, [conversation]);
  try {
    // As often as anybody likes: nothing waits.
    const refused = await Promise.all(
      Array.from({ length: 50 }, (_, i) => attempt(conversation, i % 2 === 0 ? 'bob' : 'mallory', 1, randomBytes(32))),
    );
    expect([...new Set(refused)].sort()).toEqual(['not-allowed', 'not-found']);
    await expect(attempt(conversation, 'bob', 1, secretOf('m1'))).rejects.toThrow(/locked/);
  } finally {
    await release();
  }
  expect(await attempt(conversation, 'bob', 1, secretOf('m1'))).toBe('deleted');
});

/** Sends an operation as it travels on the workflow path. */
async function sendAs(pool: pg.Pool, conversation: string, operation: object): Promise<{ outcomes: unknown[] }> {
  const { rows } = await pool.query<{ decision: { outcomes: unknown[] } }>('select decide($1, $2, $3) as decision', [
    conversation,
    JSON.stringify([operation]),
    [],
  ]);
  return rows[0]?.decision ?? { outcomes: [] };
}
