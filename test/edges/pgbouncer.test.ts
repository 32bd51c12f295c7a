import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { describe, expect, inject, test } from 'vitest';
import { ParleyClient, createHttp, toBase64, toBase64Url } from '../../client/index.ts';
import { startChild } from '../../local/child.ts';
import { packageRoot } from '../../process/package-root.ts';
import { edgeTool } from '../../tools/edges/found-tools.ts';
import { asAdmin } from '../../local/database-copy.ts';
import { entriesOf, openEventStream } from '../../tools/harness/event-stream.ts';
import { environmentOf } from '../../tools/harness/processes.ts';
import type { Service } from '../../tools/harness/service.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { useCleanup } from '../harness/cleanup.ts';
import { type TestDatabase, createTestDatabase } from '../harness/database.ts';
import { testFolder } from '../harness/folder.ts';
import { type Pgbouncer, startPgbouncer } from '../harness/pgbouncer.ts';
import { startTestService } from '../harness/service.ts';

const OLD = edgeTool('pgbouncer-1.18') ?? '';
const NEW = edgeTool('pgbouncer-1.24') ?? '';
const later = useCleanup();

interface Setup {
  readonly database: TestDatabase;
  readonly pooler: Pgbouncer;
  /** DATABASE_URL through the pooler. */
  readonly through: string;
}

async function prepare(program: string, settings: Readonly<Record<string, string>>): Promise<Setup> {
  const database = await createTestDatabase();
  later('database', database.drop);
  const pooler = await startPgbouncer(program, database.url, settings);
  later('pooler', pooler.stop);
  return { database, pooler, through: pooler.through(database.url) };
}

type Env = Readonly<Record<string, string>>;

/** Runs a program to its end. */
async function run(script: string, databaseUrl: string, env: Env = {}): Promise<{ code: number | null; said: string }> {
  const child = await startChild({
    command: process.execPath,
    args: [path.join(packageRoot(), 'dist', script)],
    logFile: path.join(testFolder(), 'log'),
    env: {
      PATH: process.env.PATH,
      ...environmentOf({
        databaseUrl,
        temporalAddress: inject('temporalAddress'),
        taskQueue: `edge-${randomUUID()}`,
        env,
      }),
      PORT: '0',
      ADMIN_PORT: '0',
      SDK_METRICS_PORT: '0',
      HOST: '127.0.0.1',
    },
  });
  later('program', () => child.stop('SIGKILL', 0));
  const { code } = await child.exited;
  return { code, said: child.tail(100) };
}

async function start(databaseUrl: string, env: Env = {}): Promise<Service> {
  const service = await startTestService(databaseUrl, { apis: 1, workers: 1, env });
  later('service', service.stop);
  return service;
}

/** 20 users send at the same time, twice, to two conversations, while one reads a stream. @returns answers that were no success */
async function talk(service: Service): Promise<number[]> {
  const url = service.urls()[0] ?? '';
  const failures: number[] = [];
  const users = Array.from({ length: 20 }, (_, i) => `user-${i}`);
  const client = (user: string): ParleyClient =>
    new ParleyClient(createHttp({ baseUrl: url, token: () => service.token(user), attempts: 1 }));
  for (const path of ['direct', 'workflow'] as const) {
    await service.setPath(path);
    const id = toBase64Url(Buffer.from(randomUUID().replaceAll('-', ''), 'hex'));
    await client('user-0').createConversation({
      id,
      protocol: 'opaque',
      members: users.slice(1),
      policy: { externalJoin: 'nobody' },
    });
    const stream = await openEventStream(url, id, await service.token('user-1'), { after: 0 });
    for (let round = 0; round < 3; round++) {
      const sent = users.map((user) =>
        client(user).send(id, { id: randomUUID(), ciphertext: toBase64(Buffer.from('hello')) }),
      );
      for (const result of await Promise.allSettled(sent)) {
        if (result.status === 'rejected') failures.push((result.reason as { status?: number }).status ?? 0);
      }
    }
    await waitUntil(() => entriesOf(stream).length === 60 - failures.length, { what: 'the stream brings them all' });
    stream.close();
  }
  return failures;
}

async function readiness(service: Service): Promise<{ status: number; text: string }> {
  const url = service.urls()[0] ?? '';
  const { status } = await fetch(`${url}/health/ready`);
  return { status, text: await (await fetch(`${url}/health`)).text() };
}

describe.skipIf(OLD === '')('PgBouncer 1.18', () => {
  test('in session mode everything works, once the role has its settings', async () => {
    const { through } = await prepare(OLD, { pool_mode: 'session', default_pool_size: '60' });
    const early = await run('api/main.js', through);
    expect(early.code).toBe(1);
    expect(early.said).toMatch(/sessions lack settings \(search_path, plan_cache_mode,.*npm run migrate.*alter role/);
    expect(early.said).not.toContain('    at ');
    const migrated = await run('ops/migrate.js', through);
    expect(migrated.said).toContain('set plan_cache_mode = force_generic_plan;');
    expect(migrated.code).toBe(0);
    // A second time there is nothing to do.
    expect((await run('ops/migrate.js', through)).said).not.toContain('alter role');
    expect(await talk(await start(through))).toEqual([]);
  });

  test.each([
    ['transaction', /loses prepared statements.*DATABASE_URL to PostgreSQL itself/],
    ['statement', /takes no transactions.*pool_mode = session/],
  ])('in %s mode no process starts', async (pool_mode, reason) => {
    const { through, database } = await prepare(OLD, { pool_mode });
    for (const script of ['ops/migrate.js', 'api/main.js', 'worker/main.js']) {
      const { code, said } = await run(script, through, { DATABASE_DIRECT_URL: database.url });
      expect({ script, code }).toEqual({ script, code: 1 });
      expect(said).toMatch(reason);
    }
  });

  test('in session mode that does not clean sessions no process starts', async () => {
    const { through } = await prepare(OLD, { pool_mode: 'session', server_reset_query: '' });
    // The first one leaves its sessions behind.
    await run('ops/migrate.js', through);
    const { code, said } = await run('api/main.js', through);
    expect(said).toMatch(/loses prepared statements.*server_reset_query = DISCARD ALL/);
    expect(code).toBe(1);
  });

  test('a mode that is changed under a running service takes it out of rotation, with the reason, until it is changed back', async () => {
    const { pooler, through } = await prepare(OLD, { pool_mode: 'session', default_pool_size: '60' });
    await run('ops/migrate.js', through);
    const service = await start(through);
    expect((await readiness(service)).status).toBe(200);
    pooler.change({ pool_mode: 'transaction', default_pool_size: '60' });
    await waitUntil(async () => (await readiness(service)).status === 503, { what: 'it is not ready' });
    expect((await readiness(service)).text).toContain('it loses prepared statements');
    expect(service.apis[0]?.tail()).toContain('max_prepared_statements');
    pooler.change({ pool_mode: 'session', default_pool_size: '60' });
    await waitUntil(async () => (await readiness(service)).status === 200, { what: 'it is ready again' });
    expect(await talk(service)).toEqual([]);
  });
});

describe.skipIf(NEW === '')('PgBouncer 1.24 in transaction mode', () => {
  const settings = { pool_mode: 'transaction', default_pool_size: '5', max_prepared_statements: '200' };

  test('works with few sessions for many connections, and notifications pass it by', async () => {
    const { database, pooler, through } = await prepare(NEW, settings);
    const direct = { DATABASE_DIRECT_URL: database.url };
    expect((await run('ops/migrate.js', through, direct)).code).toBe(0);
    const service = await start(through, direct);
    expect(await talk(service)).toEqual([]);
    const pooled = await asAdmin(database.url, (client) =>
      client.query(
        `select from pg_stat_activity where datname = current_database() and application_name in ('parley-api', 'parley-worker')`,
      ),
    );
    expect(pooled.rowCount).toBeLessThanOrEqual(5);
    await pooler.restart();
    await waitUntil(async () => (await readiness(service)).status === 200, {
      what: 'it is ready after the pooler came back',
    });
    expect(await talk(service)).toEqual([]);
  });

  test('is refused without a way for sessions, and with one that is none', async () => {
    const { database, through } = await prepare(NEW, settings);
    await run('ops/migrate.js', through, { DATABASE_DIRECT_URL: database.url });
    const other = await createTestDatabase();
    later('other database', other.drop);
    for (const [direct, reason] of [
      ['', /is in transaction mode, and notifications need a session.*Set DATABASE_DIRECT_URL/],
      [through, /DATABASE_DIRECT_URL leads to a pooler in transaction mode/],
      [other.url, /did not arrive through DATABASE_DIRECT_URL/],
    ] as const) {
      const { code, said } = await run('api/main.js', through, { DATABASE_DIRECT_URL: direct });
      expect(said).toMatch(reason);
      expect(code).toBe(1);
    }
  });

  test('without prepared statements it is refused as an old one is', async () => {
    const { database, through } = await prepare(NEW, { ...settings, max_prepared_statements: '0' });
    const { said } = await run('api/main.js', through, { DATABASE_DIRECT_URL: database.url });
    expect(said).toMatch(/loses prepared statements/);
  });

  test('a session from before the role had its settings gets them', async () => {
    const { database, through } = await prepare(NEW, settings);
    await asAdmin(through, (client) => client.query('select 1'));
    expect((await run('ops/migrate.js', through, { DATABASE_DIRECT_URL: database.url })).code).toBe(0);
    const shown = (): Promise<unknown> =>
      asAdmin(through, async (client) => (await client.query<{ search_path: string }>('show search_path')).rows[0]);
    expect(await shown()).not.toEqual({ search_path: 'parley' });
    await start(through, { DATABASE_DIRECT_URL: database.url });
    expect(await shown()).toEqual({ search_path: 'parley' });
  });
});
