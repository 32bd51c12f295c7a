import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { type JobPool, type JobPoolOptions, makeJobPool } from '../../../compute/pool.ts';
import { jobsInThisThread } from '../../../compute/jobs.ts';
import { AppError } from '../../../domain/errors.ts';
import { makeMetrics } from '../../../process/metrics.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { release } from '../../harness/compute/releases.ts';
import { testKeyPackage } from '../../harness/key-packages.ts';

const pools: JobPool[] = [];
afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.close())));

function makePool(change: Partial<JobPoolOptions> = {}): {
  readonly pool: JobPool;
  readonly count: (metric: string, labels?: string) => Promise<number>;
} {
  const metrics = makeMetrics({ collectDefaults: false });
  const pool = makeJobPool({ threads: 1, maxWaitMs: 60_000, log: pino({ level: 'silent' }), metrics, ...change });
  pools.push(pool);
  const count = async (metric: string, labels = ''): Promise<number> => {
    const line = (await metrics.registry.metrics()).split('\n').find((one) => one.startsWith(`${metric}${labels} `));
    return Number(line?.split(' ').at(-1) ?? 0);
  };
  return { pool, count };
}

/** A pool whose jobs do as they are told (test/harness/compute/thread.ts). */
function makeObedientPool(change: Partial<JobPoolOptions> = {}): ReturnType<typeof makePool> & {
  readonly order: (user: string, what: string, deadline?: number) => Promise<unknown>;
} {
  const entry = path.join(packageRoot(), 'dist', 'test', 'harness', 'compute', 'thread.js');
  const made = makePool({ entry, runsInline: () => false, ...change });
  return {
    ...made,
    order: async (user, what, deadline = Date.now() + 60_000) =>
      (await made.pool.run('json', { user, deadline }, Buffer.from(what))).root.value,
  };
}

const refusal = (code: string): unknown => expect.objectContaining({ name: 'AppError', code });

describe('a job in a thread', () => {
  test('gives the same as in this thread, and the caller keeps its bytes', async () => {
    const made = await Promise.all(Array.from({ length: 40 }, () => testKeyPackage('alice')));
    const keyPackages = made.map(({ message }) => Buffer.from(message, 'base64'));
    const batch = { keyPackages };
    const before = keyPackages.map((bytes) => bytes.toString('base64'));
    const rules = { user: 'alice', maxLifetimeMs: undefined };
    const { pool, count } = makePool();
    const checked = await pool.run('key-packages', 'alice', batch, rules);
    expect(await count('parley_job_duration_seconds_count', '{job="key-packages",where="thread"}')).toBe(1);
    expect(checked).toEqual(await jobsInThisThread.run('key-packages', 'alice', batch, rules));
    expect(checked.every(({ ref, bytes }) => Buffer.isBuffer(ref) && Buffer.isBuffer(bytes))).toBe(true);
    expect(keyPackages.map((bytes) => bytes.toString('base64'))).toEqual(before);
  });

  test('refuses with the same code, text and facts', async () => {
    const keyPackages = [randomBytes(3000), randomBytes(3000)];
    const rules = { user: 'alice', maxLifetimeMs: undefined };
    const inline = await jobsInThisThread.run('key-packages', 'alice', { keyPackages }, rules).catch(String);
    const { pool } = makePool();
    const error: unknown = await pool.run('key-packages', 'alice', { keyPackages }, rules).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({
      code: 'malformed',
      details: { errors: [{ pointer: '/keyPackages/0' }, { pointer: '/keyPackages/1' }] },
    });
    expect(String(error)).toBe(inline);
  });

  test('is not used for a small input: no thread starts', async () => {
    const { pool, count } = makePool({ entry: '/nowhere/thread.js' });
    expect(await pool.run('json', 'alice', Buffer.from('[1]'))).toMatchObject({ root: { value: [1] } });
    expect(await count('parley_job_duration_seconds_count', '{job="json",where="inline"}')).toBe(1);
  });

  test.each(['crash', 'throw', 'fill'])(
    'that ends its thread by `%s` fails alone, and may be tried again',
    async (how) => {
      const { order, count } = makeObedientPool({ maxHeapMb: 16 });
      const results = await Promise.allSettled([order('alice', how), order('alice', 'say 1'), order('bob', 'say 2')]);
      expect(results).toEqual([
        { status: 'rejected', reason: refusal('unavailable') },
        { status: 'fulfilled', value: 'say 1' },
        { status: 'fulfilled', value: 'say 2' },
      ]);
      expect(await count('parley_jobs_refused_total', '{reason="crashed"}')).toBe(1);
    },
  );

  test('that takes too long is ended with its thread, and the others run', async () => {
    const { order, count } = makeObedientPool({ maxJobMs: 50 });
    const results = await Promise.allSettled([order('alice', 'spin'), order('bob', 'say 1')]);
    expect(results).toEqual([
      { status: 'rejected', reason: refusal('deadline') },
      { status: 'fulfilled', value: 'say 1' },
    ]);
    expect(await count('parley_jobs_refused_total', '{reason="too-long"}')).toBe(1);
  });

  test('sees no secret of the environment', async () => {
    process.env.JOB_TEST_SECRET = 'secret';
    const { order } = makeObedientPool();
    expect(await order('alice', 'environment')).toBe('environment {}');
    delete process.env.JOB_TEST_SECRET;
  });
});

describe('the queue of jobs', () => {
  test('gives users turns: a flood delays a bystander by one job', async () => {
    const { pool, order } = makeObedientPool();
    await pool.start();
    const ends: string[] = [];
    const note = (user: string, what: string): Promise<unknown> => order(user, what).then(() => ends.push(what));
    const all = [note('mallory', 'hold 1')];
    for (let n = 1; n <= 20; n++) all.push(note('mallory', `flood ${n}`));
    all.push(note('alice', 'bystander'));
    release('1');
    await Promise.all(all);
    expect(ends.indexOf('bystander')).toBe(2);
  });

  test('refuses the user who fills it, and never a bystander', async () => {
    const { pool, order, count } = makeObedientPool({ queue: { jobs: 8, bytes: 1e6, share: 3 / 4 } });
    await pool.start();
    const held = order('mallory', 'hold 2');
    const flood = Promise.allSettled(Array.from({ length: 10 }, (_, n) => order('mallory', `flood ${n}`)));
    const others = Promise.all(['alice', 'bob', 'carol', 'dave'].map((user) => order(user, `say ${user}`)));
    expect(pool.waiting()).toBe(8);
    expect(await count('parley_jobs_waiting')).toBe(8);
    release('2');
    expect(await others).toEqual(['say alice', 'say bob', 'say carol', 'say dave']);
    const refused = (await flood).filter(({ status }) => status === 'rejected');
    expect(refused).toHaveLength(6);
    for (const one of refused) expect(one).toMatchObject({ reason: refusal('overloaded') });
    expect(await count('parley_jobs_refused_total', '{reason="full"}')).toBe(6);
    await held;
  });

  test('never starts a job whose request is over', async () => {
    const { pool, order, count } = makeObedientPool();
    await pool.start();
    const held = order('alice', 'hold 3');
    const late = order('alice', 'say late', Date.now());
    release('3');
    await expect(late).rejects.toEqual(refusal('deadline'));
    await held;
    expect(await count('parley_jobs_refused_total', '{reason="late"}')).toBe(1);
    expect(await count('parley_job_duration_seconds_count', '{job="json",where="thread"}')).toBe(1);
  });

  test('leaves one of several threads to the others', async () => {
    const { pool, order } = makeObedientPool({ threads: 3 });
    await pool.start();
    const floods = ['4', '5', '6'].map((id) => order('mallory', `hold ${id}`));
    expect(await order('alice', 'say hello')).toBe('say hello');
    for (const id of ['4', '5', '6']) release(id);
    await Promise.all(floods);
  });

  test('fails one job for each thread that does not start', async () => {
    const { order } = makeObedientPool({ entry: '/nowhere/thread.js' });
    const results = await Promise.allSettled([order('alice', 'say 1'), order('bob', 'say 2')]);
    for (const one of results) expect(one).toEqual({ status: 'rejected', reason: refusal('unavailable') });
  });

  test('fails what waits and what runs when it is closed', async () => {
    const { pool, order } = makeObedientPool();
    await pool.start();
    const results = Promise.allSettled([order('alice', 'hold 7'), order('bob', 'say 1')]);
    expect(pool.waiting()).toBe(1);
    await pool.close();
    for (const one of await results) expect(one).toEqual({ status: 'rejected', reason: refusal('unavailable') });
    await expect(order('carol', 'say 2')).rejects.toEqual(refusal('unavailable'));
  });
});
