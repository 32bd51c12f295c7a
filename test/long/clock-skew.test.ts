import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import pg from 'pg';
import { beforeAll, expect, test, vi } from 'vitest';
import { toBase64, toBase64Url } from '../../client/index.ts';
import type { ServiceProcess } from '../../tools/harness/processes.ts';
import { openEventStream } from '../../tools/harness/event-stream.ts';
import { tokenOf } from '../../tools/harness/tokens.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { useDatabase } from '../harness/database.ts';
import { useService } from '../harness/service.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 180_000 });

// Every process of the service runs on a host with a wrong clock; that of the database and of Temporal is right.

/** Seconds by which the clock of each API process is ahead. */
const SKEWS = [5, -5, 30, -30, 300, -300];
const DEADLINE_MS = 4000;

/** Makes Node believe that it is later, before any other code runs. */
function ahead(seconds: number): { readonly NODE_OPTIONS: string } {
  const code = `const shift = ${seconds * 1000};
    const real = Date.now;
    globalThis.Date = class extends Date {
      constructor(...given) { given.length === 0 ? super(real() + shift) : super(...given); }
      static now() { return real() + shift; }
    };`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` };
}

const database = useDatabase();
const service = useService(
  {
    apis: SKEWS.length,
    workers: 0,
    env: { REQUEST_DEADLINE_MS: String(DEADLINE_MS) },
    apiEnv: SKEWS.map((seconds) => ahead(seconds)),
  },
  database,
);
beforeAll(async () => {
  await Promise.all([service().addWorker(ahead(300)), service().addWorker(ahead(-300))]);
});

const opaque = (): { id: string; protocol: 'opaque'; policy: { externalJoin: 'nobody' } } => ({
  id: toBase64Url(randomBytes(18)),
  protocol: 'opaque',
  policy: { externalJoin: 'nobody' },
});
const message = (): { id: string; ciphertext: string } => ({ id: randomUUID(), ciphertext: toBase64(randomBytes(40)) });
const eachApi = <T>(run: (api: number, seconds: number) => Promise<T>): Promise<T[]> =>
  Promise.all(SKEWS.map((seconds, api) => run(api, seconds)));

test('messages and commits are accepted on both paths, whatever the clocks of the API and of the worker say', async () => {
  for (const path of ['workflow', 'direct'] as const) {
    await service().setPath(path);
    await eachApi(async (api) => {
      const alice = service().clientOf('alice', { api, attempts: 1 });
      const { id } = await alice.createConversation(opaque());
      expect(await alice.send(id, message())).toMatchObject({ seq: 1, status: 'accepted' });
      expect(await alice.commit(id, { commit: toBase64(randomBytes(30)), adds: ['bob'] })).toMatchObject({ seq: 2 });
    });
  }
});

test('an operation that waited until after its deadline is refused by the clock of the database (invariant 11)', async () => {
  await service().setPath('direct');
  await eachApi(async (api) => {
    const alice = service().clientOf('alice', { api, attempts: 1 });
    const { id } = await alice.createConversation(opaque());
    const holder = new pg.Client({ connectionString: database().url });
    await holder.connect();
    try {
      await holder.query('begin');
      await holder.query('select from parley.conversation where id = $1 for update', [id]);
      const late = message();
      await expect(alice.send(id, late)).rejects.toMatchObject({ status: 503, isRetryable: true });
      await holder.query('rollback');
      // It waits behind what is left of the first one, and is decided after it.
      expect(await alice.send(id, message())).toMatchObject({ seq: 1, status: 'accepted' });
      expect((await alice.log(id)).entries).toHaveLength(1);
      expect(await alice.send(id, late)).toMatchObject({ seq: 2, status: 'accepted' });
    } finally {
      await holder.end();
    }
  });
});

test('tokens are good until they expire by the clock of the database', async () => {
  await eachApi(async (api) => {
    const url = service().apis[api]?.url ?? '';
    const status = async (expiresIn: string): Promise<number> => {
      const headers = { authorization: `Bearer ${await tokenOf('alice', { expiresIn })}` };
      return (await fetch(`${url}/v1/conversations`, { headers })).status;
    };
    expect(await status('20s')).toBe(200);
    expect(await status('-20s')).toBe(401);
  });
});

test('a stream ends when its token expires by the clock of the database, and not before', async () => {
  await eachApi(async (api) => {
    const alice = service().clientOf('alice', { api, attempts: 1 });
    const { id } = await alice.createConversation(opaque());
    const url = service().apis[api]?.url ?? '';
    const long = await openEventStream(url, id, await tokenOf('alice', { expiresIn: '60s' }));
    const short = await openEventStream(url, id, await tokenOf('alice', { expiresIn: '4s' }));
    await waitUntil(() => short.endedAt() !== undefined, { what: 'the short one ends' });
    expect(short.events.at(-1)?.event).toBe('reconnect');
    expect(long.endedAt()).toBeUndefined();
    long.close();
  });
});

const WARNING = 'the clock of this process differs from that of the database';

test('each process whose clock is more than 5 seconds wrong says so, in its log and in a metric', async () => {
  const look = async ({ url, logFile }: ServiceProcess, seconds: number): Promise<void> => {
    // Those of 5 s are at the limit.
    if (Math.abs(seconds) > 5) {
      await waitUntil(() => readFileSync(logFile, 'utf8').includes(WARNING), { what: `it warns of ${seconds} s` });
    }
    const text = await (await fetch(`${url}/metrics`)).text();
    const skew = Number(/^parley_clock_skew_seconds (\S+)$/m.exec(text)?.[1]);
    expect(Math.round(skew)).toBe(seconds);
  };
  await Promise.all([
    ...service().apis.map((api, i) => look(api, SKEWS[i] ?? 0)),
    ...service().workers.map((worker, i) => look(worker, i === 0 ? 300 : -300)),
  ]);
});
