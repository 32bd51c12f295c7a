import { randomBytes, randomUUID } from 'node:crypto';
import pg from 'pg';
import { beforeAll, expect, test, vi } from 'vitest';
import { freePort } from '../../local/ports.ts';
import { conversationWorkflowId, shutdown } from '../../workflows/conversation/messages.ts';
import type { ParleyClient } from '../../client/index.ts';
import { toBase64, toBase64Url } from '../../client/index.ts';
import { useCleanup } from '../harness/cleanup.ts';
import { useDatabase } from '../harness/database.ts';
import { useService } from '../harness/service.ts';
import { openEventStream } from '../../tools/harness/event-stream.ts';
import type { ServiceProcess } from '../../tools/harness/processes.ts';
import { tryUntil, waitUntil } from '../../tools/harness/wait-until.ts';

vi.setConfig({ testTimeout: 180_000 });

const MAILBOX_LIMIT = 5;
const CONTINUE_AFTER = 30;
const USERS = ['alice-of-metrics', 'bob-of-metrics'];

const database = useDatabase();
let sdkPort = 0;
beforeAll(async () => {
  sdkPort = await freePort();
});
const service = useService(
  () => ({
    apis: 1,
    workers: 1,
    env: {
      CONVERSATION_PATH: 'workflow',
      // A quarter of it is one user's.
      LANE_MAILBOX_LIMIT: String(4 * MAILBOX_LIMIT),
      CONTINUE_AS_NEW_AFTER: String(CONTINUE_AFTER),
      SDK_METRICS_PORT: String(sdkPort),
    },
  }),
  database,
);
const later = useCleanup();
const ids: string[] = [...USERS];
let api = '';
let worker: ServiceProcess | undefined;
let sdkMetrics = '';

const as = (user: string, attempts = 6): ParleyClient => service().clientOf(user, { attempts });
const [alice = '', bob = ''] = USERS;

function newId(): string {
  const id = randomUUID();
  ids.push(id);
  return id;
}

async function create(): Promise<string> {
  const id = toBase64Url(randomBytes(18));
  ids.push(id);
  await as(alice).createConversation({ id, protocol: 'opaque', members: USERS, policy: { externalJoin: 'nobody' } });
  return id;
}

async function say(conversation: string, user = alice, attempts = 6): Promise<void> {
  await as(user, attempts).send(conversation, { id: newId(), ciphertext: toBase64(randomBytes(40)) });
}

/** Locks the row of the conversation, so that nothing is decided. @returns a function that releases it */
async function hold(conversation: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: database().url });
  await client.connect();
  later('holder', () => client.end());
  await client.query('begin');
  await client.query('select from parley.conversation where id = $1 for update', [conversation]);
  return () => client.end();
}

async function scrape(url: string): Promise<string> {
  return (await fetch(new URL('/metrics', url))).text();
}

/** Sum of the samples of a metric that have all these labels. */
async function read(url: string, name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
  let sum = 0;
  for (const line of (await scrape(url)).split('\n')) {
    const [, found, given = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (found !== name) continue;
    if (Object.entries(labels).every(([label, wanted]) => given.includes(`${label}="${wanted}"`))) sum += Number(value);
  }
  return sum;
}

/** Runs an action and waits until a metric has grown. */
async function expectGrowth(
  url: string,
  name: string,
  labels: Readonly<Record<string, string>>,
  act: () => Promise<unknown>,
): Promise<void> {
  const before = await read(url, name, labels);
  await act();
  await waitUntil(async () => (await read(url, name, labels)) > before, {
    what: `${name} ${JSON.stringify(labels)} grows`,
  });
}

const actor = { actor_type: 'conversation' };

beforeAll(() => {
  api = service().apis[0]?.url ?? '';
  [worker] = service().workers;
  sdkMetrics = `http://127.0.0.1:${sdkPort}`;
});

test('actor_spawns_total counts conversations whose workflow starts', async () => {
  const conversation = await create();
  await expectGrowth(worker?.url ?? '', 'actor_spawns_total', actor, () => say(conversation));
});

test('actor_stops_total counts workflows that complete, by reason', async () => {
  const conversation = await create();
  await say(conversation);
  await expectGrowth(worker?.url ?? '', 'actor_stops_total', { ...actor, reason: 'shutdown' }, () =>
    service().temporal.workflow.getHandle(conversationWorkflowId(conversation)).signal(shutdown, { reason: 'test' }),
  );
});

test('actor_restarts_total counts runs that continue as new', async () => {
  const conversation = await create();
  await expectGrowth(worker?.url ?? '', 'actor_restarts_total', { ...actor, reason: 'continue-as-new' }, async () => {
    for (let i = 0; i <= CONTINUE_AFTER; i++) await say(conversation);
  });
});

test('actor_message_duration_seconds is a histogram by message type, from the conversation queue to the outcome', async () => {
  const conversation = await create();
  const labels = { ...actor, message_type: 'message' };
  await expectGrowth(api, 'actor_message_duration_seconds_count', labels, () => say(conversation));
  await expectGrowth(api, 'actor_message_duration_seconds_count', { ...actor, message_type: 'read' }, () =>
    as(bob).markRead(conversation),
  );
  const buckets = (await scrape(api))
    .split('\n')
    .filter((line) => line.startsWith('actor_message_duration_seconds_bucket') && line.includes('"message"'));
  const bounds = buckets.map((line) => /le="([^"]+)"/.exec(line)?.[1]);
  expect(bounds).toEqual([
    '0.001',
    '0.0025',
    '0.005',
    '0.01',
    '0.025',
    '0.05',
    '0.1',
    '0.25',
    '0.5',
    '1',
    '2.5',
    '5',
    '10',
    '+Inf',
  ]);
  const counts = buckets.map((line) => Number(line.split(' ').at(-1)));
  expect(counts).toEqual([...counts].sort((a, b) => a - b));
  expect(counts.at(-1)).toBe(await read(api, 'actor_message_duration_seconds_count', labels));
});

test('epoch_increment_duration_seconds measures accepted commits, and epoch_conflicts_total counts those that lost', async () => {
  const conversation = await create();
  const commit = (): Promise<unknown> =>
    as(alice).commit(conversation, { id: newId(), commit: toBase64(randomBytes(40)), ...{ epoch: 0 } });
  await expectGrowth(api, 'epoch_increment_duration_seconds_count', actor, commit);
  expect(await read(api, 'epoch_increment_duration_seconds_bucket', { ...actor, le: '+Inf' })).toBeGreaterThan(0);
  await expectGrowth(api, 'epoch_conflicts_total', actor, () =>
    expect(commit()).rejects.toMatchObject({ code: 'epoch-conflict' }),
  );
});

test('actor_mailbox_depth counts waiting operations, actor_mailbox_full_events_total those refused because of it, and actor_message_drops_total those that ended without a decision', async () => {
  const conversation = await create();
  await say(conversation);
  const letGo = await hold(conversation);
  const before = {
    full: await read(api, 'actor_mailbox_full_events_total', actor),
    overloaded: await read(api, 'actor_message_drops_total', { ...actor, reason: 'overloaded' }),
    late: await read(api, 'actor_message_drops_total', { ...actor, reason: 'deadline' }),
    locked: await read(api, 'actor_message_drops_total', { ...actor, reason: 'unavailable' }),
  };
  // The first operation is in flight and the next ones wait, up to the limit.
  const taken = (): Promise<number> => read(api, 'parley_lane_wait_seconds_count', { path: 'workflow' });
  const takenBefore = await taken();
  const first = say(conversation, alice, 1).catch((error: unknown) => error);
  await waitUntil(async () => (await taken()) > takenBefore, { what: 'it is taken' });
  const others = Array.from({ length: MAILBOX_LIMIT + 4 }, () =>
    say(conversation, bob, 1).catch((error: unknown) => error),
  );
  await waitUntil(async () => (await read(api, 'actor_mailbox_depth', actor)) >= MAILBOX_LIMIT, {
    what: 'the conversation queue is full',
  });
  const outcomes = await Promise.all([first, ...others]);
  await letGo();
  const codes = outcomes.map((outcome) => (outcome as { code?: string } | undefined)?.code);
  const overloaded = codes.filter((code) => code === 'overloaded').length;
  const late = codes.filter((code) => code === 'deadline').length;
  // Those that were in flight are told that the conversation is locked.
  const locked = codes.filter((code) => code === 'unavailable').length;
  expect(overloaded).toBeGreaterThanOrEqual(3);
  expect(late + locked).toBeGreaterThanOrEqual(MAILBOX_LIMIT);
  expect(await read(api, 'actor_mailbox_full_events_total', actor)).toBe(before.full + overloaded);
  expect(await read(api, 'actor_message_drops_total', { ...actor, reason: 'overloaded' })).toBe(
    before.overloaded + overloaded,
  );
  expect(await read(api, 'actor_message_drops_total', { ...actor, reason: 'deadline' })).toBe(before.late + late);
  expect(await read(api, 'actor_message_drops_total', { ...actor, reason: 'unavailable' })).toBe(
    before.locked + locked,
  );
  await waitUntil(async () => (await read(api, 'actor_mailbox_depth', actor)) === 0, {
    what: 'the conversation queue is empty again',
  });
});

test('metrics count operations by kind, outcome and path, and measure batches, waits in the conversation queue and requests', async () => {
  const conversation = await create();
  const accepted = { kind: 'message', outcome: 'accepted', path: 'workflow' };
  await expectGrowth(api, 'parley_operations_total', accepted, () => say(conversation));
  const id = newId();
  const ciphertext = toBase64(randomBytes(40));
  await as(alice).send(conversation, { id, ciphertext });
  await expectGrowth(api, 'parley_operations_total', { ...accepted, outcome: 'duplicate' }, () =>
    as(alice).send(conversation, { id, ciphertext }),
  );
  await expectGrowth(api, 'parley_operations_total', { ...accepted, outcome: 'id-reused' }, () =>
    expect(as(alice).send(conversation, { id, ciphertext: toBase64(randomBytes(40)) })).rejects.toMatchObject({
      status: 422,
    }),
  );
  for (const name of ['parley_batch_operations', 'parley_batch_duration_seconds', 'parley_lane_wait_seconds']) {
    await expectGrowth(api, `${name}_count`, { path: 'workflow' }, () => say(conversation));
  }
  await expectGrowth(worker?.url ?? '', 'parley_batch_operations_count', { path: 'activity' }, () => say(conversation));
  const request = { method: 'POST', route: '/v1/conversations/{id}/messages', status: '200' };
  await expectGrowth(api, 'parley_http_request_duration_seconds_count', request, () => say(conversation));
});

test('metrics count open streams and measure their delivery lag and the use of the pools', async () => {
  const conversation = await create();
  const before = await read(api, 'parley_open_streams');
  const stream = await openEventStream(api, conversation, await service().token(bob));
  await waitUntil(async () => (await read(api, 'parley_open_streams')) === before + 1, {
    what: 'the stream is counted',
  });
  await expectGrowth(api, 'parley_delivery_lag_seconds_count', {}, () => say(conversation));
  stream.close();
  await waitUntil(async () => (await read(api, 'parley_open_streams')) === before, { what: 'its end is counted' });
  for (const [url, pool] of [
    [api, 'api'],
    [worker?.url ?? '', 'worker'],
  ] as const) {
    expect(await read(url, 'parley_pool_connections', { pool, state: 'total' })).toBeGreaterThan(0);
    expect(await scrape(url)).toMatch(new RegExp(`parley_pool_connections\\{pool="${pool}",state="(idle|waiting)"\\}`));
  }
});

test("the worker serves the metrics of Temporal's SDK on a separate port", async () => {
  await waitUntil(async () => /^temporal_\w+\{/m.test(await scrape(sdkMetrics)), { what: 'the SDK has metrics' });
  const text = await scrape(sdkMetrics);
  expect(text).toContain('temporal_workflow_task_execution_latency');
  expect(text).toContain('temporal_worker_task_slots_available');
});

test('no label of any metric contains an id', async () => {
  const texts = await Promise.all([scrape(api), scrape(worker?.url ?? '')]);
  for (const text of texts) {
    expect(ids.filter((id) => text.includes(id))).toEqual([]);
    // Ids that nobody made here: no label value looks like one. Labels of `nodejs_*` and `process_*` come from Node itself
    // and are names of its parts, for example the heap space `shared_trusted_large_object`. A build is a commit, and the
    // incarnation is that of the whole service.
    const ours = text
      .split('\n')
      .filter((line) => !/^(?:nodejs|process)_|^parley_(?:build|incarnation)_info/.test(line));
    const values = [...ours.join('\n').matchAll(/="([^"]*)"/g)].map(([, value]) => value ?? '');
    expect(values.filter((value) => /[0-9a-f]{8}-|[A-Za-z0-9_-]{22,}/.test(value))).toEqual([]);
  }
});

test('actor_restarts_total counts conversations that a worker rebuilds from their history after another one was killed', async () => {
  const conversation = await create();
  await say(conversation);
  await worker?.kill9();
  const next = await service().addWorker({ SDK_METRICS_PORT: '0' });
  await tryUntil(() => say(conversation, alice, 1), { what: 'the conversation answers again', timeoutMs: 60_000 });
  await waitUntil(async () => (await read(next.url, 'actor_restarts_total', { ...actor, reason: 'replay' })) >= 1, {
    what: 'the rebuilt run is counted',
  });
});
