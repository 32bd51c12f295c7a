import { randomUUID } from 'node:crypto';
import proto from '@temporalio/proto';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { PolicyChange } from '../../../domain/policy.ts';
import { resolveProgram } from '../../../local/temporal-binary.ts';
import { timeSkippingServer } from '../../../local/temporal-programs.ts';
import {
  type ConversationSettings,
  incrementUnread,
  sendMessages,
  shutdown,
} from '../../../workflows/conversation/messages.ts';
import { SWEEP_WORKFLOW } from '../../../workflows/names.ts';
import {
  type ConversationHandle,
  type Conversations,
  quietRuntime,
  startConversations,
} from '../../../tools/harness/conversations.ts';
import { useDatabase } from '../../harness/database.ts';
import { membershipSubmission, commitSubmission, createInStore, messageSubmission, readSubmission } from '../../../tools/harness/submissions.ts';
import { makeGate, postgresAway } from '../../../tools/harness/trouble.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

// Time skips for the whole server at once, so the tests of this file run one after another on one server of their own.
const { EventType } = proto.temporal.api.enums.v1;
const IDLE_MS = 10 * 60_000;
const DAY_MS = 24 * 3600_000;

const database = useDatabase();
let env: TestWorkflowEnvironment;
let conversations: Conversations;

beforeAll(async () => {
  quietRuntime();
  const path = await resolveProgram(timeSkippingServer, { say: () => undefined });
  env = await TestWorkflowEnvironment.createTimeSkipping({ server: { executable: { type: 'existing-path', path } } });
});
afterAll(() => env.teardown());

async function start(settings: Partial<ConversationSettings> = {}): Promise<void> {
  conversations = await startConversations({
    client: env.client,
    connection: env.nativeConnection,
    pool: database().pool,
    settings: { idleMs: IDLE_MS, ...settings },
    workflowTaskTimeout: '60 seconds',
  });
}
beforeEach(() => start());
afterEach(async () => {
  // A run without a worker would hold the clock: the server skips no time while a task waits.
  for (const id of created.splice(0))
    await conversations
      .handle(id)
      .terminate()
      .catch(() => undefined);
  await conversations.stop();
});

const created: string[] = [];
async function create(users: readonly string[], policy?: PolicyChange): Promise<string> {
  const id = await createInStore(database().pool, users, policy);
  created.push(id);
  return id;
}

async function sendOne(conversation: string, user = 'alice'): Promise<number | undefined> {
  const outcome = await conversations.dispatcher.submit(messageSubmission(conversation, user));
  return outcome.status === 'accepted' ? outcome.seq : undefined;
}

async function unread(conversation: string): Promise<Record<string, number>> {
  const { rows } = await database().pool.query<{ user: string; unread: number }>(
    `select m.user_id as user, c.app_count - m.read_count + c.increments - m.increments_base as unread
     from conversation c join member m on m.conversation = c.key where c.id = $1`,
    [conversation],
  );
  return Object.fromEntries(rows.map((row) => [row.user, row.unread]));
}

async function bodies(conversation: string): Promise<{ seq: number; kept: boolean }[]> {
  const { rows } = await database().pool.query<{ seq: number; kept: boolean }>(
    `select e.seq, e.ciphertext is not null as kept from entry e join conversation c on c.key = e.conversation
     where c.id = $1 order by e.seq`,
    [conversation],
  );
  return rows;
}

/** Server times (in ms) of the events of a kind. */
async function timesOf(handle: ConversationHandle, type: keyof typeof EventType): Promise<number[]> {
  const { events } = await handle.fetchHistory();
  return (events ?? [])
    .filter(({ eventType }) => eventType === EventType[type])
    .map(({ eventTime }) => Number(eventTime?.seconds ?? 0) * 1000 + Math.floor((eventTime?.nanos ?? 0) / 1e6));
}

/** What the scheduled sweep does, at the server's time. */
async function sweep(): Promise<unknown> {
  const { client, taskQueue } = conversations;
  return client.workflow.execute(SWEEP_WORKFLOW, { workflowId: `sweep-${randomUUID()}`, taskQueue });
}

// The first of this file: Welcomes are given 30 days by Postgres's clock, of which the server's leaps away.
describe('a Welcome that nobody takes up', () => {
  const expired = async (conversation: string): Promise<object[]> => {
    const { rows } = await database().pool.query<object>(
      `select h.seq, h.data from change h join conversation c on c.key = h.conversation
       where c.id = $1 and h.kind = 'welcome-expired'`,
      [conversation],
    );
    return rows;
  };
  const waiting = async (conversation: string): Promise<number | null> => {
    const { rowCount } = await database().pool.query(
      `select from welcome w join welcome_body b on b.conversation = w.conversation and b.seq = w.seq
       join conversation c on c.key = w.conversation where c.id = $1`,
      [conversation],
    );
    return rowCount;
  };

  test('expires by the timer of its conversation, or by the sweep when the run is gone, and the group is told', async () => {
    await conversations.stop();
    await start({ idleMs: 365 * DAY_MS });
    const [running, terminated] = [await create(['alice', 'bob']), await create(['alice', 'bob'])];
    for (const id of [running, terminated]) {
      const bundle = { adds: ['carol'], welcome: Buffer.from('welcome') };
      await conversations.dispatcher.submit(commitSubmission(id, 'alice', 0, bundle));
      expect(await sendOne(id)).toBe(2);
    }
    await conversations.handle(terminated).terminate();
    await env.sleep(29 * DAY_MS);
    expect([await waiting(running), await waiting(terminated)]).toEqual([1, 1]);
    await env.sleep(2 * DAY_MS);
    const told = [{ seq: 2, data: { user: 'carol', device: '' } }];
    await waitUntil(async () => (await waiting(running)) === 0, { what: 'the Welcome has expired' });
    expect(await expired(running)).toEqual(told);
    expect((await conversations.state(running)).facts).not.toHaveProperty('dueAt');

    expect([await waiting(terminated), await expired(terminated)]).toEqual([1, []]);
    await sweep();
    await waitUntil(async () => (await waiting(terminated)) === 0, { what: 'the swept Welcome has expired' });
    expect(await expired(terminated)).toEqual(told);
  });
});

describe('an idle conversation', () => {
  test('completes after the idle time and holds one coarse timer, whatever the number of messages', async () => {
    const id = await create(['alice', 'bob']);
    for (let i = 1; i <= 25; i++) expect(await sendOne(id)).toBe(i);
    await env.sleep(IDLE_MS + 60_000);
    const handle = conversations.handle(id);
    expect(await handle.result()).toEqual({ reason: 'idle' });
    // One at the start, and one for the rest after the first fired early.
    expect(await timesOf(handle, 'EVENT_TYPE_TIMER_STARTED')).toHaveLength(2);
    const answered = await timesOf(handle, 'EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED');
    expect(answered).toHaveLength(25);
    const [ended] = await timesOf(handle, 'EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED');
    // The run's clock stands at the start of its task.
    const tasks = await timesOf(handle, 'EVENT_TYPE_WORKFLOW_TASK_STARTED');
    const lastUsed = Math.max(...tasks.filter((at) => at <= Math.max(...answered)));
    expect((ended ?? 0) - lastUsed).toBeGreaterThanOrEqual(IDLE_MS);
    expect(await sendOne(id)).toBe(26);
  });

  test('that does not exist ends by itself', async () => {
    const handle = await conversations.wake('bm8tc3VjaC1jb252ZXJzYXRpb24');
    expect(await handle.result()).toEqual({ reason: 'not-found' });
  });
});

describe('explicit increments', () => {
  test('are applied by a short timer without any update (invariant 7)', async () => {
    const id = await create(['alice', 'bob', 'carol']);
    await conversations.increment({ conversation: id, user: 'alice', by: 2 });
    await conversations.increment({ conversation: id, user: 'bob', by: 5 });
    await env.sleep(1000);
    await waitUntil(async () => (await unread(id)).carol === 7, { what: 'both increments are applied' });
    expect(await unread(id)).toEqual({ alice: 5, bob: 2, carol: 7 });
    await conversations.dispatcher.submit(readSubmission(id, 'carol'));
    expect(await unread(id)).toEqual({ alice: 5, bob: 2, carol: 0 });
  });

  test('ride with the next batch', async () => {
    await conversations.stop();
    await start({ flushMs: DAY_MS });
    const id = await create(['alice', 'bob']);
    await conversations.increment({ conversation: id, user: 'alice', by: 3 });
    expect(await sendOne(id)).toBe(1);
    expect(await unread(id)).toEqual({ alice: 0, bob: 4 });
  });

  test('that arrive while the run is closing are applied (invariant 7)', async () => {
    const id = await create(['alice', 'bob']);
    const gate = makeGate();
    expect(await sendOne(id)).toBe(1);
    conversations.trouble.before = gate.pass;
    const handle = conversations.handle(id);
    await handle.signal(incrementUnread, { kind: 'increment', id: 'first', actor: 'alice', by: 1 });
    await handle.signal(shutdown, { reason: 'test' });
    await waitUntil(() => gate.waiting() > 0, { what: 'the closing run applies what is queued' });
    await handle.signal(incrementUnread, { kind: 'increment', id: 'second', actor: 'alice', by: 10 });
    gate.open();
    expect(await handle.result()).toEqual({ reason: 'shutdown' });
    expect(await unread(id)).toEqual({ alice: 0, bob: 12 });
  });

  test('an increment that cannot be applied holds up neither the others nor the end of the run', async () => {
    const id = await create(['alice', 'bob']);
    const handle = await conversations.wake(id);
    const broken = { kind: 'increment', id: 'broken', actor: 'alice', by: 'many' as unknown as number } as const;
    await handle.signal(incrementUnread, broken);
    await handle.signal(incrementUnread, { kind: 'increment', id: 'good', actor: 'alice', by: 2 });
    expect(await sendOne(id)).toBe(1);
    await waitUntil(async () => (await unread(id)).bob === 3, { what: 'the good one is applied' });
    expect((await conversations.state(id)).pendingIncrements).toBe(0);
    await handle.signal(shutdown, { reason: 'test' });
    expect(await handle.result()).toEqual({ reason: 'shutdown' });
  });
});

describe('Postgres in trouble', () => {
  test('an update ends as `infra` after a few tries with growing pauses; the conversation lives on and recovers', async () => {
    const id = await create(['alice', 'bob']);
    expect(await sendOne(id)).toBe(1);
    const { runId } = await conversations.handle(id).describe();
    let tries = 0;
    conversations.trouble.before = () => {
      tries++;
      throw postgresAway();
    };
    const add = membershipSubmission(id, 'alice', { adds: ['carol'] }).operation;
    await expect(conversations.update(sendMessages, id, [add])).rejects.toMatchObject({ cause: { type: 'infra' } });
    // 50 ms doubled up to 500 ms within a budget of 6 s: about 15; a hot loop would be hundreds.
    expect(tries).toBeGreaterThan(5);
    expect(tries).toBeLessThan(40);
    expect((await conversations.state(id)).health).toBe('degraded');

    conversations.trouble.before = () => undefined;
    expect(await conversations.update(sendMessages, id, [add])).toMatchObject([{ status: 'accepted', epoch: 1 }]);
    expect(await conversations.state(id)).toMatchObject({ health: 'healthy', queued: 0, facts: { lastSeq: 2 } });
    expect((await conversations.handle(id).describe()).runId).toBe(runId);
  });

  test('a request rides out a short outage (invariant 11)', async () => {
    const id = await create(['alice']);
    let failures = 3;
    conversations.trouble.before = () => {
      if (failures-- > 0) throw postgresAway();
    };
    expect(await sendOne(id)).toBe(1);
    expect(await bodies(id)).toEqual([{ seq: 1, kept: true }]);
  });

  test('increments wait for the end of an outage and are counted once (invariant 7)', async () => {
    const id = await create(['alice', 'bob']);
    expect(await sendOne(id)).toBe(1);
    let isAway = true;
    let failed = 0;
    conversations.trouble.before = () => {
      if (!isAway) return;
      failed++;
      throw postgresAway();
    };
    await conversations.increment({ conversation: id, user: 'alice', by: 4 });
    await env.sleep(1000);
    await waitUntil(async () => failed > 0 && (await conversations.state(id)).health === 'degraded', {
      what: 'the first flush has failed',
    });
    isAway = false;
    await env.sleep(10_000);
    await waitUntil(async () => (await unread(id)).bob === 5, { what: 'the second flush succeeds' });
    expect(await conversations.state(id)).toMatchObject({ health: 'healthy', pendingIncrements: 0 });
  });
});

describe('retention', () => {
  // Devices are of users, who are the same in every test.
  beforeEach(() => database().pool.query('truncate device, device_position'));

  /** The server's clock is ahead by what was skipped so far, Postgres's is not. */
  const aheadDays = async (): Promise<number> => Math.ceil(((await env.currentTimeMs()) - Date.now()) / DAY_MS);

  /** A device of a member, active however much time this file skips. */
  const reads = async (user: string, conversation: string, seq = 0): Promise<void> => {
    const { pool } = database();
    await pool.query(
      `insert into device (user_id, device_id, seen_at) values ($1, $2, now() + interval '1000 years')
       on conflict do nothing`,
      [user, conversation],
    );
    await pool.query(
      `insert into device_position (user_id, device_id, conversation, seq)
       select $1, $2, key, $3 from conversation where id = $2
       on conflict (user_id, device_id, conversation) do update set seq = excluded.seq`,
      [user, conversation, seq],
    );
  };

  const oldest = async (conversation: string): Promise<number | undefined> => {
    const { rows } = await database().pool.query<{ seq: number }>(
      'select oldest_seq as seq from conversation where id = $1',
      [conversation],
    );
    return rows[0]?.seq;
  };

  test('takes bodies when their time has come and shifts no seq (invariant 1)', async () => {
    await conversations.stop();
    await start({ idleMs: 365 * DAY_MS });
    const id = await create(['alice', 'bob'], { retentionDays: (await aheadDays()) + 30 });
    await reads('bob', id);
    for (let i = 1; i <= 3; i++) await sendOne(id);
    await conversations.dispatcher.submit(membershipSubmission(id, 'alice', { adds: ['carol'] }));
    expect((await bodies(id)).every(({ kept }) => kept)).toBe(true);
    await env.sleep(31 * DAY_MS);
    const expired = [
      { seq: 1, kept: false },
      { seq: 2, kept: false },
      { seq: 3, kept: false },
      // A commit is kept: without it Bob's device could not follow the group.
      { seq: 4, kept: true },
    ];
    await waitUntil(async () => (await bodies(id)).every(({ kept }, i) => kept === expired[i]?.kept), {
      what: 'the bodies are gone',
    });
    expect(await bodies(id)).toEqual(expired);
    expect(await sendOne(id)).toBe(5);
    expect(await unread(id)).toEqual({ alice: 0, bob: 4, carol: 1 });
  });

  test('deletes entries when nobody needs them any more, and looks every day whether that is so', async () => {
    await conversations.stop();
    await start({ idleMs: 365 * DAY_MS });
    const id = await create(['alice', 'bob'], { retentionDays: (await aheadDays()) + 30 });
    await reads('bob', id, 2);
    for (let i = 1; i <= 4; i++) await sendOne(id);
    expect(await oldest(id)).toBe(1);
    await env.sleep(31 * DAY_MS);
    await waitUntil(async () => (await oldest(id)) === 3, { what: 'what Bob has read is gone' });
    await reads('bob', id, 4);
    await env.sleep(2 * DAY_MS);
    await waitUntil(async () => (await oldest(id)) === 5, { what: 'the rest is gone as well' });
    expect((await conversations.state(id)).facts).not.toHaveProperty('dueAt');
    expect(await sendOne(id)).toBe(5);
    expect(await unread(id)).toEqual({ alice: 0, bob: 5 });
  });

  test('goes on after idle completion, by the sweep', async () => {
    const id = await create(['alice', 'bob'], { retentionDays: (await aheadDays()) + 30 });
    await sendOne(id);
    expect(await conversations.handle(id).result()).toEqual({ reason: 'idle' });
    await env.sleep(31 * DAY_MS);
    expect(await oldest(id)).toBe(1);
    await sweep();
    await waitUntil(async () => (await oldest(id)) === 2, { what: 'the entry is gone' });
    expect(await conversations.handle(id).result()).toEqual({ reason: 'idle' });
  });

  test('a run that the sweep woke looks at its due times at once, and the rest of its life is idle', async () => {
    const id = await create(['alice'], { retentionDays: 1 });
    // Decided long ago, without a run: the workflow's clock is weeks ahead by now.
    await sendOne(id);
    await conversations.handle(id).terminate();
    const handle = await conversations.wake(id);
    await waitUntil(async () => (await oldest(id)) === 2, { what: 'the entry is gone' });
    expect(await handle.result()).toEqual({ reason: 'idle' });
  });
});
