import { randomUUID } from 'node:crypto';
import { WorkflowNotFoundError } from '@temporalio/client';
import proto from '@temporalio/proto';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { PolicyChange } from '../../../domain/policy.ts';
import { resolveProgram } from '../../../local/temporal-binary.ts';
import { timeSkippingServer } from '../../../local/temporal-programs.ts';
import { decideCommands } from '../../../store/decision/decide.ts';
import {
  type ConversationSettings,
  incrementUnread,
  refresh,
  sendMessages,
  shutdown,
} from '../../../workflows/conversation/messages.ts';
import { EVERY_HOUR } from '../../../worker/schedule.ts';
import { SWEEP_WORKFLOW } from '../../../workflows/names.ts';
import {
  type ConversationHandle,
  type Conversations,
  quietRuntime,
  startConversations,
} from '../../../tools/harness/conversations.ts';
import { useDatabase } from '../../harness/database.ts';
import {
  membershipSubmission,
  stagedChange,
  commitSubmission,
  leaveSubmission,
  createInStore,
  messageSubmission,
  readSubmission,
} from '../../../tools/harness/submissions.ts';
import { makeGate, postgresAway } from '../../../tools/harness/trouble.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

// Time skips for the whole server at once, so the tests of this file run one after another on a separate server.
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
  await endRuns();
  await conversations.stop();
});

/**
 * Ends every open run and waits until it is closed; also the runs that a sweep woke for conversations of earlier tests.
 *
 * The server skips no time while a workflow task is outstanding: it counts one lock for each task that it schedules and
 * takes the lock back when a worker answers the task. A run that is terminated while its task is outstanding never gets
 * this answer, so its lock never ends, and every later `env.sleep` of this file takes as long as it says (31 days).
 * A test ends when Postgres shows the effect of an activity, which is before the worker has answered the task: on a busy
 * machine long before. So runs end by their own `shutdown`, which a task answers, and before their worker stops: the task
 * of a run without a worker would hold the clock as well.
 */
async function endRuns(): Promise<void> {
  conversations.trouble.before = () => undefined;
  const asked = new Set<string>();
  await waitUntil(
    async () => {
      const ids = await openRuns();
      // Once each: a signal that arrives while a run closes makes it close again.
      for (const id of ids.filter((each) => !asked.has(each))) {
        asked.add(id);
        await env.client.workflow.getHandle(id).signal(shutdown, { reason: 'test' }).catch(ignoreNotFound);
      }
      return ids.length === 0;
    },
    { what: 'every run is closed', timeoutMs: 60_000 },
  );
}

async function openRuns(): Promise<string[]> {
  const { namespace } = env.client.options;
  const { executions } = await env.client.workflowService.listOpenWorkflowExecutions({ namespace });
  return executions.map(({ execution }) => execution?.workflowId ?? '');
}

function ignoreNotFound(error: unknown): void {
  if (!(error instanceof WorkflowNotFoundError)) throw error;
}

async function create(users: readonly string[], policy?: PolicyChange): Promise<string> {
  return createInStore(database().pool, users, policy);
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

/** Runs the scheduled sweep at the time of the server. */
async function sweep(): Promise<unknown> {
  const { client, taskQueue } = conversations;
  return client.workflow.execute(SWEEP_WORKFLOW, { workflowId: `sweep-${randomUUID()}`, taskQueue });
}

// This test must be the first: Welcomes live for 30 days by the clock of Postgres, and the server's clock jumps ahead.
describe('a Welcome that nobody collects', () => {
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

  test('expires by the timer of its conversation, or by the sweep when the run is gone, and the group gets a notice', async () => {
    await conversations.stop();
    await start({ idleMs: 365 * DAY_MS });
    const [running, terminated] = [await create(['alice', 'bob']), await create(['alice', 'bob'])];
    for (const id of [running, terminated]) {
      const bundle = { adds: ['carol'], welcome: Buffer.from('welcome') };
      await conversations.dispatcher.submit(commitSubmission(id, 'alice', 0, bundle));
      expect(await sendOne(id)).toBe(2);
    }
    // Its last update is answered, so none of its tasks is outstanding (see `endRuns`).
    await conversations.handle(terminated).terminate();
    await env.sleep(29 * DAY_MS);
    expect([await waiting(running), await waiting(terminated)]).toEqual([1, 1]);
    await env.sleep(2 * DAY_MS);
    const reports = [{ seq: 2, data: { user: 'carol', device: '' } }];
    await waitUntil(async () => (await waiting(running)) === 0, { what: 'the Welcome has expired' });
    expect(await expired(running)).toEqual(reports);
    expect((await conversations.state(running)).facts).not.toHaveProperty('dueAt');

    expect([await waiting(terminated), await expired(terminated)]).toEqual([1, []]);
    await sweep();
    await waitUntil(async () => (await waiting(terminated)) === 0, { what: 'the swept Welcome has expired' });
    expect(await expired(terminated)).toEqual(reports);
  });
});

describe('a conversation that everybody left', () => {
  const isThere = async (conversation: string): Promise<boolean> =>
    (await decideCommands(database().pool, conversation, [])).facts.found;
  const DAYS = 3000;

  test('is deleted by its timer, or by the sweep when the run is gone', async () => {
    await conversations.stop();
    await start({ idleMs: 2 * DAYS * DAY_MS });
    const [running, terminated] = [
      await create(['alice', 'bob'], { abandonedDays: DAYS }),
      await create(['alice', 'bob'], { abandonedDays: DAYS }),
    ];
    for (const id of [running, terminated]) {
      for (const user of ['alice', 'bob']) await conversations.dispatcher.submit(leaveSubmission(id, user));
    }
    await conversations.handle(terminated).terminate();
    // Times of Postgres: the server's clock may be ahead of them.
    const until = Date.now() + DAYS * DAY_MS;
    await env.sleep(until - DAY_MS - (await env.currentTimeMs()));
    expect([await isThere(running), await isThere(terminated)]).toEqual([true, true]);
    await env.sleep(2 * DAY_MS);
    await waitUntil(async () => !(await isThere(running)), { what: 'it is deleted' });
    expect(await isThere(terminated)).toBe(true);
    await sweep();
    await waitUntil(async () => !(await isThere(terminated)), { what: 'the swept one is deleted' });
    for (const id of [running, terminated]) {
      const members = async (): Promise<number | null> =>
        (
          await database().pool.query(
            'select from member m join conversation c on c.key = m.conversation where c.id = $1',
            [id],
          )
        ).rowCount;
      await waitUntil(async () => (await members()) === 0, { what: 'its rows are gone' });
    }
  });
});

describe('an idle conversation', () => {
  test('completes after the idle time and holds one coarse timer, for any number of messages', async () => {
    const id = await create(['alice', 'bob']);
    for (let i = 1; i <= 25; i++) expect(await sendOne(id)).toBe(i);
    await env.sleep(IDLE_MS + 60_000);
    const handle = conversations.handle(id);
    expect(await handle.result()).toEqual({ reason: 'idle' });
    // One timer from the start, and one for the rest after the first one fired early.
    expect(await timesOf(handle, 'EVENT_TYPE_TIMER_STARTED')).toHaveLength(2);
    const answered = await timesOf(handle, 'EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED');
    expect(answered).toHaveLength(25);
    const [ended] = await timesOf(handle, 'EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED');
    // The clock of a run shows the start time of its task.
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

describe('a run beside direct traffic', () => {
  const decideDirectly = async (id: string): Promise<void> => {
    const { command } = messageSubmission(id, 'alice');
    expect((await decideCommands(database().pool, id, [command])).outcomes).toMatchObject([{ status: 'accepted' }]);
  };

  test('completes when it is idle: neither direct traffic nor a refresh keeps it alive', async () => {
    const id = await create(['alice', 'bob']);
    expect(await sendOne(id)).toBe(1);
    const handle = conversations.handle(id);
    await env.sleep(IDLE_MS - 60_000);
    await decideDirectly(id);
    await handle.signal(refresh);
    await waitUntil(async () => (await conversations.state(id)).facts?.lastSeq === 2, { what: 'it knows the message' });
    await env.sleep(2 * 60_000);
    await waitUntil(async () => (await handle.describe()).status.name === 'COMPLETED', { what: 'the run is idle' });
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

  test('are applied with the next batch', async () => {
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

  test('that cannot be applied delay neither the others nor the end of the run', async () => {
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
  test('an update ends as `infra` after a few attempts with growing pauses, and the conversation keeps running and recovers', async () => {
    const id = await create(['alice', 'bob']);
    expect(await sendOne(id)).toBe(1);
    const { runId } = await conversations.handle(id).describe();
    let tries = 0;
    conversations.trouble.before = () => {
      tries++;
      throw postgresAway();
    };
    const add = stagedChange(id, 'alice', { adds: ['carol'] });
    await expect(conversations.update(sendMessages, id, [add])).rejects.toMatchObject({ cause: { type: 'infra' } });
    // Pauses of 50 ms, doubled up to 500 ms, within 6 s give about 15 attempts. A loop without pauses gives hundreds.
    expect(tries).toBeGreaterThan(5);
    expect(tries).toBeLessThan(40);
    expect((await conversations.state(id)).health).toBe('degraded');

    conversations.trouble.before = () => undefined;
    expect(await conversations.update(sendMessages, id, [add])).toMatchObject([{ status: 'accepted', epoch: 1 }]);
    expect(await conversations.state(id)).toMatchObject({ health: 'healthy', queued: 0, facts: { lastSeq: 2 } });
    expect((await conversations.handle(id).describe()).runId).toBe(runId);
  });

  test('a request succeeds after a short outage (invariant 11)', async () => {
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
  // Every test uses the same users, so their devices must be deleted.
  beforeEach(() => database().pool.query('truncate device, device_position'));

  /** The number of days that the server's clock is ahead of Postgres, because of skipped time. */
  const aheadDays = async (): Promise<number> => Math.ceil(((await env.currentTimeMs()) - Date.now()) / DAY_MS);

  /** Makes a device of a member that stays active, even when this file skips much time. */
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

  test('deletes bodies when they are due and changes no seq (invariant 1)', async () => {
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
      // The commit is kept, because Bob's device needs it to follow the group.
      { seq: 4, kept: true },
    ];
    await waitUntil(async () => (await bodies(id)).every(({ kept }, i) => kept === expired[i]?.kept), {
      what: 'the bodies are gone',
    });
    expect(await bodies(id)).toEqual(expired);
    expect(await sendOne(id)).toBe(5);
    expect(await unread(id)).toEqual({ alice: 0, bob: 4, carol: 1 });
  });

  test('deletes entries that nobody needs any more, and checks for them every day', async () => {
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

  test('continues through the sweep after idle completion', async () => {
    const id = await create(['alice', 'bob'], { retentionDays: (await aheadDays()) + 30 });
    await sendOne(id);
    expect(await conversations.handle(id).result()).toEqual({ reason: 'idle' });
    await env.sleep(31 * DAY_MS);
    expect(await oldest(id)).toBe(1);
    await sweep();
    await waitUntil(async () => (await oldest(id)) === 2, { what: 'the entry is gone' });
    expect(await conversations.handle(id).result()).toEqual({ reason: 'idle' });
  });

  test('does the due work of a run that the sweep woke at once, and then the run is idle', async () => {
    const id = await create(['alice'], { retentionDays: 1 });
    // Decided without a run, and long ago: the workflow's clock is weeks ahead by now.
    const { command, deadline } = messageSubmission(id, 'alice');
    await decideCommands(database().pool, id, [{ ...command, notAfter: deadline }]);
    expect(await oldest(id)).toBe(1);
    const handle = await conversations.wake(id);
    await waitUntil(async () => (await oldest(id)) === 2, { what: 'the entry is gone' });
    expect(await handle.result()).toEqual({ reason: 'idle' });
  });
});

test('one run of the sweep repeats it sixty times, and ends after an hour', async () => {
  const { client, taskQueue } = conversations;
  const handle = await client.workflow.start(SWEEP_WORKFLOW, {
    workflowId: `sweep-${randomUUID()}`,
    taskQueue,
    args: [EVERY_HOUR],
  });
  await handle.result();
  const { events } = await handle.fetchHistory();
  const timers = events?.filter(({ timerFiredEventAttributes }) => timerFiredEventAttributes) ?? [];
  expect(timers).toHaveLength(59);
});
