import { createECDH, randomUUID } from 'node:crypto';
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import type pg from 'pg';
import { createConversation } from '../../../store/conversation/conversations.ts';
import { makePolicy } from '../../../domain/policy.ts';
import { optionsOrExit, wholeNumber } from '../../command-line.ts';
import { startPushEndpoint, subscribe } from '../../harness/push-endpoint.ts';
import { startServers } from '../../harness/servers.ts';
import { type Service, startService } from '../../harness/service.ts';
import { openLoop } from '../../load/open-loop.ts';
import { type CpuTimes, cpuBetween, cpuTimes } from '../../load/process-stats.ts';

// `npm run bench:push`: what wake-ups cost in a large conversation (docs/explanation/wake-ups.md). Both kinds of rounds take turns, so
// that other load on the machine meets both.
const options = optionsOrExit(() => {
  const { values } = parseArgs({
    options: {
      members: { type: 'string' },
      rate: { type: 'string' },
      seconds: { type: 'string' },
      rounds: { type: 'string' },
      path: { type: 'string' },
    },
  });
  return {
    members: wholeNumber(values.members, 1000),
    rate: wholeNumber(values.rate, 10),
    seconds: wholeNumber(values.seconds, 20),
    rounds: wholeNumber(values.rounds, 3),
    path: values.path === 'workflow' ? 'workflow' : 'direct',
  } as const;
}, 'npm run bench:push [-- --members N --rate PER_SECOND --seconds N --rounds N --path direct|workflow]');

/** `asleep` = every member has a phone, which was woken by the first message and acknowledges nothing. */
type Kind = 'no targets' | 'asleep' | 'waking';
/** The first message wakes everybody: this ends before the measurement begins. */
const WARM_UP_MS = 12_000;

const endpoint = await startPushEndpoint();
const servers = await startServers({ say: () => undefined, durable: false });
try {
  const service = await startService(
    {
      databaseUrl: await servers.createDatabase('bench_push'),
      temporalAddress: servers.temporalAddress,
      name: 'bench',
    },
    { apis: 1, workers: 1, env: environment() },
  );
  try {
    await measure(service);
  } finally {
    await service.stop();
  }
} finally {
  await servers.stop();
  await endpoint.close();
}

function environment(): Record<string, string> {
  const vapid = createECDH('prime256v1');
  vapid.generateKeys();
  return {
    PUSH_VAPID_PRIVATE_KEY: Buffer.from(vapid.getPrivateKey()).toString('base64url').padStart(43, 'A'),
    PUSH_VAPID_SUBJECT: 'mailto:bench@example.org',
    PUSH_WEB_HOSTS: '127.0.0.1',
    PUSH_NETWORKS: '127.0.0.0/8',
    LOG_LEVEL: 'warn',
  };
}

async function measure(service: Service): Promise<void> {
  await service.setPath(options.path);
  const conversation = await seed(service.pool);
  const results = new Map<Kind, number[]>();
  for (let round = 0; round < options.rounds; round++) {
    for (const kind of ['no targets', 'asleep', 'waking'] as const) {
      const used = await run(service, conversation, kind);
      results.set(kind, [...(results.get(kind) ?? []), used]);
    }
  }
  const perSecond = (kind: Kind): number => median(results.get(kind) ?? []) / options.seconds;
  const base = perSecond('no targets');
  process.stdout.write(
    `${options.members} members, ${options.rate} messages/s, path ${options.path}, ${options.rounds} rounds of ${options.seconds} s; CPU of API, worker and Postgres\n`,
  );
  for (const kind of results.keys()) {
    const ms = perSecond(kind);
    const more = ((ms - base) / 10).toFixed(1);
    process.stdout.write(
      `${kind.padEnd(10)} ${ms.toFixed(0)} ms/s, ratio ${(ms / base).toFixed(2)}, ${more} % of a core more; rounds ${(results.get(kind) ?? []).map((one) => (one / options.seconds).toFixed(0)).join(' ')}\n`,
    );
  }
  process.stdout.write(
    `${endpoint.received.length} wake-ups; ${cpus().length} cores, load ${loadavg()[0]?.toFixed(1) ?? '-'}\n`,
  );
}

/** CPU time in ms of one round. */
async function run({ clientOf, pool, apis, workers }: Service, conversation: string, kind: Kind): Promise<number> {
  await pool.query('delete from push_target');
  if (kind !== 'no targets') await register(pool);
  const pids = { ...servers.pids, api: apis[0]?.pid ?? 0, worker: workers[0]?.pid ?? 0 };
  delete (pids as Record<string, number>).temporal;
  const client = clientOf('member-0');
  let before: CpuTimes = {};
  let after: CpuTimes = {};
  await openLoop({
    perSecond: options.rate,
    warmUpMs: kind === 'waking' ? 0 : WARM_UP_MS,
    measureMs: options.seconds * 1000,
    onStart: () => (before = cpuTimes(pids)),
    onEnd: () => (after = cpuTimes(pids)),
    send: async () => {
      await client.send(conversation, { id: randomUUID(), ciphertext: Buffer.alloc(400, 1).toString('base64') });
    },
  });
  return Object.values(cpuBetween(before, after)).reduce((sum, ms) => sum + ms, 0);
}

async function seed(pool: pg.Pool): Promise<string> {
  const id = Buffer.from(randomUUID()).toString('base64url');
  const members = Array.from({ length: options.members }, (_, i) => `member-${i}`);
  const policy = makePolicy({ groupInfo: 'optional', maxMembers: 10_000 }, { epochWindow: 2 });
  const creation = {
    id,
    protocol: 'opaque',
    epoch: 0,
    creator: 'member-0',
    members,
    policy,
    fingerprint: Buffer.from(id),
  } as const;
  const created = await createConversation(pool, creation);
  if (created !== 'created') throw new Error(`not created: ${JSON.stringify(created)}`);
  return id;
}

/** A phone of each member. */
async function register(pool: pg.Pool): Promise<void> {
  const { target } = subscribe(`${endpoint.url}/phone`);
  await pool.query(
    `insert into push_target (user_id, device_id, kind, endpoint, p256dh, auth)
     select user_id, 'phone', 'web-push', $1 || user_id, $2, $3 from (select distinct user_id from member) m`,
    [target.endpoint, target.keys.p256dh, target.keys.auth],
  );
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
