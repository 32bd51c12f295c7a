import { readFileSync } from 'node:fs';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Outcome } from '../../../domain/outcome.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { decide } from '../../../store/decision/decide.ts';
import { acknowledgeWelcome, listWelcomes } from '../../../store/welcome/welcomes.ts';
import { createTestDatabase, useDatabase } from '../../harness/database.ts';
import { type Protocol, sha256, startConversation } from '../../harness/requests.ts';

/** A member is proven since it first acted under its own token since it joined. A ratchet tree proves nobody. */
const database = useDatabase();

let count = 0;

async function ask(conversation: string, ...operations: Record<string, unknown>[]): Promise<readonly Outcome[]> {
  const named = operations.map((operation) => ({ id: `op-${count++}`, size: 1, ...operation }));
  return (await decide(database().pool, conversation, named as never, [Buffer.from('bytes'), Buffer.from('welcome')]))
    .outcomes;
}

async function accepted(conversation: string, ...operations: Record<string, unknown>[]): Promise<void> {
  expect((await ask(conversation, ...operations)).filter(({ status }) => status !== 'accepted')).toEqual([]);
}

function message(actor: string, epoch = 0): Record<string, unknown> {
  return { kind: 'message', actor, sha256: sha256(`${count++}`).toString('hex'), epoch, bytes: { ciphertext: 1 } };
}

function commit(actor: string, epoch: number, more: object = {}): Record<string, unknown> {
  const bytes = { sha256: sha256(`commit ${count++}`).toString('hex'), bytes: { ciphertext: 1 } };
  return { kind: 'commit', actor, epoch, deferred: true, ...bytes, ...more };
}

/** The members who are proven. */
async function proven(id: string): Promise<string[]> {
  const { rows } = await database().pool.query<{ user: string }>(
    `select user_id as user from member m join conversation c on c.key = m.conversation
     where c.id = $1 and left_seq is null and proven_since(m) is not null order by 1`,
    [id],
  );
  return rows.map(({ user }) => user);
}

const ACTS: Record<string, (user: string) => Record<string, unknown>[]> = {
  'a message': (user) => [message(user)],
  'a run of messages': (user) => Array.from({ length: 9 }, () => message(user)),
  'a proposal': (user) => [{ ...message(user), type: 'proposal' }],
  'a commit': (user) => [commit(user, 0)],
  'its own external commit': (user) => [commit(user, 0, { external: true })],
};

test.each(Object.keys(ACTS))('%s proves its sender, and nobody else', async (name) => {
  for (const protocol of ['mls', 'opaque'] as const) {
    const id = await startConversation(database().pool, { protocol });
    expect(await proven(id)).toEqual(['alice']);
    await accepted(id, ...(ACTS[name]?.('bob') ?? expect.unreachable()));
    expect(await proven(id)).toEqual(['alice', 'bob']);
  }
});

test('an add without a commit proves its sender (opaque)', async () => {
  const id = await startConversation(database().pool, { protocol: 'opaque' });
  await accepted(id, { kind: 'commit', actor: 'bob', adds: ['dave'], epoch: 0, size: 0 });
  expect(await proven(id)).toEqual(['alice', 'bob']);
});

test.each<Protocol>(['mls', 'opaque'])(
  'whom others add, and who only reads, reports or was refused, is not proven (%s)',
  async (protocol) => {
    const id = await startConversation(database().pool, { protocol });
    await accepted(id, commit('alice', 0, { adds: ['dave'], leaves: ['alice', 'bob', 'carol', 'dave'] }));
    await accepted(id, { kind: 'read', actor: 'dave' }, { kind: 'increment', actor: 'dave', by: 1 });
    await accepted(id, { kind: 'report', actor: 'dave', seq: 1, epoch: 1, reason: 'stuck' });
    const refused = await ask(id, message('bob', 7), commit('carol', 0), { ...message('dave', 0), type: 'proposal' });
    expect(refused.every(({ status }) => status === 'refused')).toBe(true);
    expect(await proven(id)).toEqual(['alice']);
  },
);

test('one who is added again has to act again', async () => {
  const id = await startConversation(database().pool);
  await accepted(id, message('bob'), commit('alice', 0, { removes: ['bob'] }), commit('alice', 1, { adds: ['bob'] }));
  expect(await proven(id)).toEqual(['alice']);
  await accepted(id, message('bob', 2));
  expect(await proven(id)).toEqual(['alice', 'bob']);
});

test('an acknowledged Welcome proves its user for that membership, and waits for no lock of the conversation', async () => {
  const { pool } = database();
  const id = await startConversation(pool, { protocol: 'opaque' });
  const phone = { user: 'dave', device: 'phone' };
  const welcome = { adds: ['dave'], bytes: { ciphertext: 1, welcome: 2 } };
  const acknowledge = async (): Promise<void> => {
    const { welcomes } = await listWelcomes(pool, phone);
    for (const one of welcomes.filter(({ conversation }) => conversation === id)) {
      expect(await acknowledgeWelcome(pool, phone, one.id)).toBe(true);
    }
  };
  await accepted(id, commit('alice', 0, welcome));
  expect(await proven(id)).toEqual(['alice']);
  const holder = await pool.connect();
  try {
    await holder.query('begin');
    await holder.query('select from conversation where id = $1 for no key update', [id]);
    await holder.query(
      'select from member m join conversation c on c.key = m.conversation where c.id = $1 for update of m',
      [id],
    );
    await acknowledge();
  } finally {
    await holder.query('rollback').finally(() => holder.release());
  }
  expect(await proven(id)).toEqual(['alice', 'dave']);
  // Of a later membership it says nothing.
  await accepted(id, commit('alice', 1, { removes: ['dave'] }), commit('alice', 2, welcome));
  expect(await proven(id)).toEqual(['alice']);
  await acknowledge();
  expect(await proven(id)).toEqual(['alice', 'dave']);
});

test('messages update no more rows than before, and prove their senders once', async () => {
  const { pool } = database();
  const id = await startConversation(pool);
  const updates = async (): Promise<number> => {
    await pool.query('select pg_stat_force_next_flush()');
    const { rows } = await pool.query<{ n: number }>(
      `select n_tup_upd::int as n from pg_stat_user_tables where relname = 'member'`,
    );
    return rows[0]?.n ?? expect.unreachable();
  };
  await accepted(id, message('bob'));
  const since = async (): Promise<unknown> =>
    (
      await pool.query<{ at: unknown }>(
        `select proven_at as at from member m join conversation c on c.key = m.conversation where c.id = $1 and user_id = 'bob'`,
        [id],
      )
    ).rows[0]?.at;
  const first = await since();
  const before = await updates();
  for (let i = 0; i < 5; i++) await accepted(id, message('bob'));
  await accepted(id, ...Array.from({ length: 9 }, () => message('bob')));
  expect((await updates()) - before).toBe(6);
  expect(await since()).toEqual(first);
});

test('where only admins may add, a further device is one of a member that has acted', async () => {
  const id = await startConversation(database().pool, { policy: { whoMayAdd: 'admin' } });
  const add = (actor: string, epoch: number, user: string): Promise<readonly Outcome[]> =>
    ask(id, commit(actor, epoch, { adds: [user], leaves: ['alice', 'bob', 'carol'] }));
  // Mallory's friend bob makes a leaf with the name of carol, who was never here.
  expect(await add('bob', 0, 'carol')).toMatchObject([{ status: 'refused', code: 'not-allowed' }]);
  expect(await add('bob', 0, 'bob')).toMatchObject([{ status: 'accepted' }]);
  expect(await add('alice', 1, 'carol')).toMatchObject([{ status: 'accepted' }]);
  await accepted(id, message('carol', 2));
  expect(await add('bob', 2, 'carol')).toMatchObject([{ status: 'accepted' }]);
});

test('after a reset by a member, that member may give all others their first leaf', async () => {
  const id = await startConversation(database().pool, { policy: { whoMayAdd: 'admin', voteAfterHours: 0 } });
  await accepted(id, message('bob'), message('carol'));
  const report = { kind: 'report', seq: 0, epoch: 0, reason: 'stuck' };
  const successor = randomBytes(16).toString('base64url');
  await accepted(
    id,
    { ...report, actor: 'bob' },
    { ...report, actor: 'carol' },
    { kind: 'reset', actor: 'bob', successor },
  );
  const leaves = ['alice', 'bob', 'carol'];
  expect(await ask(successor, commit('bob', 0, { adds: ['alice', 'carol'], leaves }))).toMatchObject([
    { status: 'accepted' },
  ]);
});

test('the migration takes from the log what it proves, and nothing else', async () => {
  const { pool, drop } = await createTestDatabase();
  try {
    const id = await startConversation(pool, { members: ['alice', 'bob', 'carol', 'dave', 'erin'] });
    const run = async (...operations: Record<string, unknown>[]): Promise<void> => {
      const named = operations.map((operation) => ({ id: `op-${count++}`, size: 1, ...operation }));
      const { outcomes } = await decide(pool, id, named as never, [Buffer.from('bytes')]);
      expect(outcomes.filter(({ status }) => status !== 'accepted')).toEqual([]);
    };
    await run(
      { ...message('bob'), type: 'proposal' },
      message('carol'),
      commit('dave', 0, { adds: ['frank', 'grace'] }),
    );
    await run({ kind: 'role', actor: 'alice', user: 'erin', role: 'admin' }, commit('erin', 1, { adds: ['heidi'] }));
    await run(message('grace', 2), commit('alice', 2, { removes: ['grace'] }), commit('alice', 3, { adds: ['grace'] }));
    await run(message('frank', 4), commit('frank', 4, { adds: ['ivan'] }), commit('ivan', 5, { adds: ['judy'] }));
    // As before the migration.
    await pool.query(`alter table member drop column proven_at, drop column brought_by;
      drop table proof, bar; drop index audit_actor;
      alter table conversation drop column vote_at, drop column vote_seq, drop column trial_seq, drop column trial_epoch, drop column trial_until,
        drop column undone_trial`);
    await pool.query(
      readFileSync(path.join(packageRoot(), 'store/migrations/0006_evidence.sql'), 'utf8').replace(/^/, 'begin;') +
        ';commit',
    );
    const { rows } = await pool.query(
      `select user_id as user, proven_at is not null as proven, brought_by as "broughtBy" from member order by 1`,
    );
    expect(rows).toEqual([
      { user: 'alice', proven: true, broughtBy: null },
      { user: 'bob', proven: true, broughtBy: null },
      { user: 'carol', proven: true, broughtBy: null },
      { user: 'dave', proven: true, broughtBy: null },
      { user: 'erin', proven: true, broughtBy: null },
      { user: 'frank', proven: true, broughtBy: 'dave' },
      { user: 'grace', proven: false, broughtBy: null },
      { user: 'heidi', proven: false, broughtBy: null },
      // Dave brought them in through frank.
      { user: 'ivan', proven: true, broughtBy: 'dave' },
      { user: 'judy', proven: false, broughtBy: 'dave' },
    ]);
  } finally {
    await drop();
  }
});
