import { beforeAll, afterAll, expect, test, vi } from 'vitest';
import { listActions } from '../../../store/supervision/actions.ts';
import { listTroubles, reportTroubles } from '../../../store/trouble/troubles.ts';
import { type Conversations, startConversations } from '../../../tools/harness/conversations.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { createInStore, messageSubmission } from '../../../tools/harness/submissions.ts';
import { type RunningSupervisor, startSupervisor, strand, wedge } from '../../../tools/harness/supervisor.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { supervisorState, supervisorWorkflowId } from '../../../workflows/supervisor/messages.ts';
import { useDatabase } from '../../harness/database.ts';
import { holdRows } from '../../harness/row-locks.ts';
import { useTemporal } from '../../harness/temporal.ts';

/** The three answers of the supervisor, to conversations that are really in trouble. Those that are well are never touched. */
/** `npm run test:long` has 200. */
const AT_ONCE = Number(process.env.WEDGED_AT_ONCE ?? 20);
/** Nobody who is well is silent for so long, also on a machine that stands still for seconds. */
const PATIENCE_MS = 15_000;
// The supervisor waits as long for those that never answer.
vi.setConfig({ testTimeout: 180_000 });
const database = useDatabase();
const temporal = useTemporal();
let conversations: Conversations;
let supervisor: RunningSupervisor;
const well: { id: string; runId: string }[] = [];

const send = (id: string): Promise<unknown> => conversations.dispatcher.submit(messageSubmission(id, 'alice'));
const runOf = async (id: string): Promise<string> => (await conversations.handle(id).describe()).runId;
const actionsOn = async (id: string | undefined): Promise<string[]> =>
  (await listActions(database().pool, 1000))
    .filter(({ conversation }) => conversation === id)
    .map(({ action, reason }) => `${action} ${reason}`)
    .reverse();

/** Some that work, one of which everybody complains about. */
async function makeWell(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const id = await createInStore(database().pool, ['alice', 'bob']);
    await send(id);
    well.push({ id, runId: await runOf(id) });
  }
}

beforeAll(async () => {
  const { client, native } = temporal();
  const { pool } = database();
  conversations = await startConversations({ client, connection: native, pool });
  await makeWell(3);
  const { taskQueue } = conversations;
  supervisor = await startSupervisor({ client, native, pool, taskQueue, policy: { patienceMs: PATIENCE_MS } });
});
afterAll(async () => {
  await supervisor.stop();
  await conversations.stop();
});

/** Nobody touched them: their runs are those that they had, and nothing was written about them. */
async function expectUntouched(): Promise<void> {
  for (const { id, runId } of well) {
    expect(await runOf(id)).toBe(runId);
    expect(await actionsOn(id)).toEqual([]);
  }
}

test('a run whose tasks fail for ever is found by visibility, and started again from Postgres', async () => {
  const { client } = temporal();
  const id = await createInStore(database().pool, ['alice', 'bob']);
  await send(id);
  await wedge(client, conversations.taskQueue, [id]);
  const wedged = await runOf(id);
  await waitUntil(async () => (await actionsOn(id)).length > 0, { what: 'the supervisor acts', timeoutMs: 90_000 });
  await waitUntil(async () => (await runOf(id)) !== wedged, { what: 'another run is there' });
  expect(await send(id)).toMatchObject({ status: 'accepted', seq: 2 });
  expect(await actionsOn(id)).toEqual(['restart task-failures']);
  expect((await client.workflow.getHandle(`conversation/${id}`, wedged).describe()).status.name).toBe('TERMINATED');
  expect(await supervisor.metrics.registry.metrics()).toContain(
    'actor_restarts_total{actor_type="conversation",reason="supervisor"} 1',
  );
  const state = await client.workflow.getHandle(supervisorWorkflowId(conversations.taskQueue)).query(supervisorState);
  expect(state?.actions.map(({ conversation, action }) => [conversation, action])).toContainEqual([id, 'restart']);
  await checkInvariants(database().pool, id);
  await expectUntouched();
});

test('a run that answers nobody is restarted on a report, and one that answers is not', async () => {
  const { pool } = database();
  const { client } = temporal();
  const id = await createInStore(pool, ['alice', 'bob']);
  await send(id);
  await strand(client, id);
  const stranded = await runOf(id);
  // Both are reported, over and over.
  await waitUntil(
    async () => {
      const all = [id, ...well.map((one) => one.id)];
      await reportTroubles(
        pool,
        all.map((conversation) => ({ conversation, sign: 'timeouts', details: {} })),
      );
      return (await runOf(id)) !== stranded;
    },
    { what: 'another run is there', everyMs: 200, timeoutMs: 90_000 },
  );
  expect(await send(id)).toMatchObject({ status: 'accepted', seq: 2 });
  expect(await actionsOn(id)).toEqual(['restart timeouts']);
  await expectUntouched();
});

test('a held row is reported with its holder, and never restarted', async () => {
  const { pool, url } = database();
  const id = await createInStore(pool, ['alice', 'bob']);
  await send(id);
  const before = await runOf(id);
  const release = await holdRows(url, [id]);
  try {
    await waitUntil(
      async () => {
        await reportTroubles(pool, [{ conversation: id, sign: 'timeouts', details: {} }]);
        return (await actionsOn(id)).length > 0;
      },
      { what: 'it is reported', everyMs: 200 },
    );
    const [trouble] = (await listTroubles(pool, { conversation: id, withinMs: 60_000, limit: 10 })).filter(
      ({ sign }) => sign === 'blocked',
    );
    expect(trouble?.details).toMatchObject({ pid: expect.any(Number) as number, state: 'idle in transaction' });
    expect(trouble?.details.transactionSeconds).toBeGreaterThanOrEqual(2);
  } finally {
    await release();
  }
  expect(await send(id)).toMatchObject({ seq: 2 });
  expect(await actionsOn(id)).toEqual(['report blocked']);
  expect(await runOf(id)).toBe(before);
  await expectUntouched();
});

test('a run that has seen more than Postgres has is replaced', async () => {
  const { pool } = database();
  const id = await createInStore(pool, ['alice', 'bob']);
  await send(id);
  await send(id);
  const before = await runOf(id);
  // As after a restore of an older backup.
  await pool.query(
    `with gone as (delete from entry using conversation c where conversation = c.key and c.id = $1 and seq = 2)
     update conversation set last_seq = 1, app_count = 1 where id = $1`,
    [id],
  );
  await waitUntil(async () => (await runOf(id)) !== before, { what: 'another run is there' });
  expect(await actionsOn(id)).toEqual(['restart disagrees']);
  await expectUntouched();
});

test('a conversation that is long overdue is started', async () => {
  const { pool } = database();
  const id = await createInStore(pool, ['alice', 'bob'], { retentionDays: 1 });
  await send(id);
  await conversations.handle(id).terminate();
  await pool.query(`update entry set at = at - interval '2 days'`);
  await pool.query(`update conversation set due_at = due_at - interval '2 days' where id = $1`, [id]);
  await waitUntil(async () => (await actionsOn(id)).length > 0, { what: 'the supervisor acts' });
  await waitUntil(async () => (await conversations.state(id)).facts?.dueAt === undefined, { what: 'the body is gone' });
  expect(await actionsOn(id)).toEqual(['restart overdue']);
  await expectUntouched();
});

test(`${AT_ONCE} at once are restarted, and the others are not`, async () => {
  const { client } = temporal();
  const { pool } = database();
  const many = await Promise.all(Array.from({ length: AT_ONCE }, () => createInStore(pool, ['alice', 'bob'])));
  await wedge(client, conversations.taskQueue, many);
  await waitUntil(
    async () => {
      // As the API processes report what the server refuses.
      const all = [...many, ...well.map(({ id }) => id)];
      await reportTroubles(
        pool,
        all.map((conversation) => ({ conversation, sign: 'task-failures', details: {} })),
      );
      const { rows } = await pool.query(
        `select distinct conversation from audit where actor = 'supervisor' and action = 'restart' and conversation = any($1)`,
        [many],
      );
      return rows.length === many.length;
    },
    { what: 'all are restarted', timeoutMs: 150_000, everyMs: 500 },
  );
  // Their runs take commands again.
  for (const id of many.slice(0, 5)) expect(await send(id)).toMatchObject({ status: 'accepted', seq: 1 });
  await expectUntouched();
});
