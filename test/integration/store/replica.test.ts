import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type Postgres, startPostgres } from '../../../local/postgres.ts';
import { createCleanup } from '../../../process/cleanup.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { readPage } from '../../../store/log/entries.ts';
import { deleteBody } from '../../../store/message/delete-body.ts';
import { migrate, readSchema } from '../../../store/migrate.ts';
import { makePool } from '../../../store/pool.ts';
import { signProcess } from '../../../store/process/processes.ts';
import { type PageSource, makeReadPage } from '../../../store/replica/replica-pages.ts';
import { type Replica, openReplica } from '../../../store/replica/replica.ts';
import { startStandby } from '../../../tools/harness/standby.ts';
import { temporaryFolder } from '../../../tools/harness/temporary-folder.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { type Request, send, sendOne, startConversation } from '../../harness/requests.ts';
import type pg from 'pg';

const cleanup = createCleanup();
let primary: pg.Pool;
let replicaPool: pg.Pool;
let replica: Replica;
let openWith: (proofMs: number) => Replica;
let standby: Postgres;
const sources: PageSource[] = [];
const PROCESS = { id: 'api@test', kind: 'api', version: '0', build: 'test', taskQueue: 'test', facts: {} } as const;

beforeAll(async () => {
  const folder = temporaryFolder('replica');
  cleanup.add('folder', folder.remove);
  const say = (): void => undefined;
  const server = await startPostgres({ dataDir: path.join(folder.path, 'primary'), say, durable: false });
  cleanup.add('primary', () => server.stop());
  primary = makePool({ url: server.url(), max: 5, name: 'primary' });
  await migrate(primary, await readSchema(path.join(packageRoot(), 'store')));
  standby = await startStandby(server, path.join(folder.path, 'standby'), say);
  cleanup.add('standby', () => standby.stop());
  primary.on('error', () => undefined);
  cleanup.add('pool', () => primary.end());
  const sign = setInterval(() => void signProcess(primary, PROCESS).catch(() => undefined), 50);
  cleanup.add('signs', () => clearInterval(sign));
  openWith = (proofMs) =>
    openReplica({
      primary,
      server: { url: standby.url() },
      max: 5,
      processId: PROCESS.id,
      onChange: () => undefined,
      everyMs: 50,
      proofMs,
    });
  // A standby that is paused counts as following for as long as a test takes.
  replica = openWith(60_000);
  replicaPool = replica.pool;
  cleanup.add('watch', replica.close);
  await follows();
});
afterAll(() => cleanup.run());

const follows = (of = replica): Promise<void> => waitUntil(() => of.follows(), { what: 'the replica follows' });
const onStandby = (sql: string): Promise<unknown> => replicaPool.query(sql);
type PageArguments = Parameters<ReturnType<typeof makeReadPage>>;
const readFrom = (from: Replica, ...page: PageArguments): ReturnType<typeof readPage> =>
  makeReadPage(primary, from, (source) => sources.push(source))(...page);
const read = (...page: PageArguments): ReturnType<typeof readPage> => readFrom(replica, ...page);

async function caughtUp(): Promise<void> {
  const { rows } = await primary.query<{ lsn: string }>('select pg_current_wal_insert_lsn() as lsn');
  await waitUntil(
    async () => {
      const { rows: found } = await replicaPool.query<{ has: boolean }>(
        'select pg_last_wal_replay_lsn() >= $1::pg_lsn as has',
        [rows[0]?.lsn],
      );
      return found[0]?.has === true;
    },
    { what: 'the replica has everything' },
  );
}

/** The standby is paused before it is known to be behind. */
async function whilePaused(during: () => Promise<void>): Promise<void> {
  await onStandby('select pg_wal_replay_pause()');
  try {
    await follows();
    await during();
  } finally {
    await onStandby('select pg_wal_replay_resume()');
  }
}

/** The source of a page that is the same as that of the primary. */
async function sourceFrom(from: Replica, ...page: PageArguments): Promise<PageSource | undefined> {
  sources.length = 0;
  const [conversation, user, after, limit, kind] = page;
  expect(await readFrom(from, ...page)).toEqual(await readPage(primary, conversation, user, after, limit, kind));
  return sources[0];
}

/** On a machine that delays looks or reads, the primary may serve the same page instead. Then the next read tells. */
async function comesFrom(source: PageSource | undefined, from: Replica, ...page: PageArguments): Promise<void> {
  await waitUntil(async () => (await sourceFrom(from, ...page)) === source, {
    what: `it comes from ${String(source)}`,
  });
}
const expectSource = (source: PageSource | undefined, ...page: PageArguments): Promise<void> =>
  comesFrom(source, replica, ...page);

const messages = (from: number, count: number, actor = 'alice', epoch = 0): Request[] =>
  Array.from({ length: count }, (_, i) => ({
    kind: 'message',
    id: `m${from + i}`,
    actor,
    body: `body ${from + i}`,
    epoch,
  }));

test('a page comes from the replica, and is the one that the primary would give', async () => {
  const conversation = await startConversation(primary, { members: ['bob'] });
  await send(primary, conversation, messages(1, 10));
  await caughtUp();
  await expectSource('replica', conversation, 'bob', 0, 4);
  await expectSource('replica', conversation, 'bob', 4, 100);
  await expectSource('replica', conversation, 'bob', 0, 100, 'application');
  await expectSource('replica', conversation, 'bob', 0, 100, 'commit');
  await expectSource(undefined, conversation, 'bob', 10, 100);
  await expectSource(undefined, conversation, 'stranger', 0, 100);
});

test('while replay is paused, it serves what it holds, and the primary serves the rest', async () => {
  const conversation = await startConversation(primary, { members: ['bob'] });
  await send(primary, conversation, messages(1, 4));
  await caughtUp();
  await whilePaused(async () => {
    await send(primary, conversation, messages(5, 4));
    await expectSource('replica', conversation, 'bob', 0, 4);
    await expectSource('behind', conversation, 'bob', 0, 5);
    await expectSource('behind', conversation, 'bob', 4, 4);
  });
});

test('invariant 8: who was removed gets nothing newer, although the replica still takes the user for a member', async () => {
  const conversation = await startConversation(primary, { members: ['bob'] });
  await send(primary, conversation, messages(1, 3));
  await caughtUp();
  await whilePaused(async () => {
    await sendOne(primary, conversation, {
      kind: 'commit',
      id: 'out',
      actor: 'alice',
      body: 'out',
      epoch: 0,
      removes: ['bob'],
    });
    const page = await read(conversation, 'bob', 0, 100);
    expect(page?.leftSeq).toBe(4);
    await expectSource('replica', conversation, 'bob', 0, 3);
    await expectSource(undefined, conversation, 'bob', 4, 3);
  });
});

test('pages over several stays of a user are those of the primary, wherever they begin and end', async () => {
  const conversation = await startConversation(primary, { members: ['bob'] });
  let epoch = 0;
  const commit = (id: string, change: object): Promise<unknown> =>
    sendOne(primary, conversation, { kind: 'commit', id, actor: 'alice', body: id, epoch: epoch++, ...change });
  await send(primary, conversation, messages(1, 2));
  await commit('out', { removes: ['bob'] });
  await send(primary, conversation, messages(10, 3, 'alice', epoch));
  await commit('in', { adds: ['bob'] });
  await send(primary, conversation, messages(20, 2, 'alice', epoch));
  await caughtUp();
  for (let after = 0; after <= 10; after++) {
    for (const limit of [1, 2, 3, 4, 100]) await sourceFrom(replica, conversation, 'bob', after, limit);
  }
  await expectSource('replica', conversation, 'bob', 0, 4);
});

test('a body that retention took is not served from the copy that still has it', async () => {
  const conversation = await startConversation(primary, { members: ['bob'] });
  await send(primary, conversation, messages(1, 3));
  await caughtUp();
  await whilePaused(async () => {
    await primary.query(
      "update entry set ciphertext = null where seq <= 2 and kind = 'application' and conversation = (select key from conversation where id = $1)",
      [conversation],
    );
    await primary.query('update conversation set expired_seq = 2 where id = $1', [conversation]);
    await expectSource('replica', conversation, 'bob', 0, 3);
    expect((await read(conversation, 'bob', 0, 3))?.entries.map(({ ciphertext }) => ciphertext === null)).toEqual([
      true,
      true,
      false,
    ]);
  });
});

test('a body that was deleted is not served from the copy that still has it', async () => {
  const conversation = await startConversation(primary, { members: ['bob'] });
  await send(primary, conversation, messages(1, 3));
  await caughtUp();
  await whilePaused(async () => {
    await deleteBody(primary, { conversation, user: 'alice', seq: 2 });
    await expectSource('behind', conversation, 'bob', 0, 3);
  });
  await caughtUp();
  await expectSource('replica', conversation, 'bob', 0, 3);
  expect((await read(conversation, 'bob', 1, 1))?.entries).toMatchObject([{ ciphertext: null, isDeleted: true }]);
});

test('a replica that has not replayed for seconds, or that is gone, is not asked; it is asked again when it is back', async () => {
  const conversation = await startConversation(primary, { members: ['bob'] });
  await send(primary, conversation, messages(1, 3));
  await caughtUp();
  const quick = openWith(1500);
  onTestFinished(quick.close);
  await comesFrom('replica', quick, conversation, 'bob', 0, 3);
  await onStandby('select pg_wal_replay_pause()');
  await waitUntil(() => !quick.follows(), { what: 'the replica is known to be behind' });
  await comesFrom('primary', quick, conversation, 'bob', 0, 3);
  await onStandby('select pg_wal_replay_resume()');
  await follows(quick);
  await comesFrom('replica', quick, conversation, 'bob', 0, 3);
  await standby.kill9();
  expect(await sourceFrom(quick, conversation, 'bob', 0, 3)).toMatch(/^(failed|primary)$/);
  await comesFrom('primary', quick, conversation, 'bob', 0, 3);
});
