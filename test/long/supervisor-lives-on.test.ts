import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { readPolicy, writePolicy } from '../../store/supervision/policy.ts';
import { listActions } from '../../store/supervision/actions.ts';
import { writeDrain } from '../../store/process/drain.ts';
import { listProcesses } from '../../store/process/processes.ts';
import { reportTroubles } from '../../store/trouble/troubles.ts';
import { startConversations } from '../../tools/harness/conversations.ts';
import { createInStore, messageSubmission } from '../../tools/harness/submissions.ts';
import { startSupervisor, wedge } from '../../tools/harness/supervisor.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { workflowBundle } from '../../worker/create-worker.ts';
import { ensureSupervisor } from '../../worker/supervisor.ts';
import { supervisorState, supervisorWorkflowId } from '../../workflows/supervisor/messages.ts';
import type { SupervisorState } from '../../domain/supervision/state.ts';
import { useCleanup } from '../harness/cleanup.ts';
import { useDatabase } from '../harness/database.ts';
import { useTemporal } from '../harness/temporal.ts';

/** The supervisor survives everything else, and its own end. */
const database = useDatabase();
const temporal = useTemporal();
const later = useCleanup();

/** What it did about a conversation and about the service, the newest last. */
const actions = async (id?: string): Promise<string[]> =>
  (await listActions(database().pool, 1000))
    .filter(({ conversation }) => conversation === undefined || conversation === id)
    .map(({ action, reason }) => `${action} ${reason}`)
    .reverse();
const saysDegraded = async (queue: string): Promise<boolean> =>
  (await listProcesses(database().pool)).some(({ taskQueue, facts }) => taskQueue === queue && facts.degraded === true);

/** Workflow code of conversations that throws when a run starts: an `Error` fails each of its tasks, a failure the run. */
async function brokenBundle(how: 'each task' | 'the run'): Promise<string> {
  const code = await workflowBundle(false);
  const call = 'announceStart();';
  expect(code).toContain(call);
  // As the bundler calls the SDK in this module.
  const [, sdk = ''] = /(\w+)\.CancellationScope\.nonCancellable\(\(\) => live/.exec(code) ?? [];
  expect(sdk).not.toBe('');
  return code.replace(
    call,
    how === 'each task' ? `throw new Error('broken');` : `throw ${sdk}.ApplicationFailure.nonRetryable('broken');`,
  );
}

test('a release that wedges every conversation is reported, not restarted again and again; a good one heals all', async () => {
  const { client, native } = temporal();
  const { pool } = database();
  const taskQueue = `broken-${randomUUID()}`;
  const broken = await startConversations({
    client,
    connection: native,
    pool,
    taskQueue,
    bundle: await brokenBundle('each task'),
  });
  const supervisor = await startSupervisor({ client, native, pool, taskQueue, policy: { looks: 1 } });
  later('supervisor', supervisor.stop);
  const ids = await Promise.all(Array.from({ length: 5 }, () => createInStore(pool, ['alice'])));
  await Promise.all(ids.map((id) => broken.wake(id)));
  const runs = (): Promise<string[]> => Promise.all(ids.map(async (id) => (await broken.handle(id).describe()).runId));
  const before = await runs();
  const complain = (): Promise<void> =>
    reportTroubles(
      pool,
      ids.map((conversation) => ({ conversation, sign: 'task-failures', details: {} })),
    );
  await waitUntil(
    async () => {
      await complain();
      return (await actions()).includes('report workers');
    },
    { what: 'it says that no worker works', everyMs: 200 },
  );
  expect(await actions()).toEqual(['report workers']);
  expect(await runs()).toEqual(before);
  await waitUntil(() => saysDegraded(taskQueue), { what: 'its sign says so' });
  await broken.stop();

  const good = await startConversations({ client, connection: native, pool, taskQueue });
  later('conversations', good.stop);
  await Promise.all(
    ids.map(async (id) => {
      expect(await good.dispatcher.submit(messageSubmission(id, 'alice'))).toMatchObject({ seq: 1 });
    }),
  );
});

test('while operators have drained the workflow path, nothing is restarted', async () => {
  const { client, native } = temporal();
  const { pool } = database();
  const conversations = await startConversations({ client, connection: native, pool });
  later('conversations', conversations.stop);
  const { taskQueue } = conversations;
  const supervisor = await startSupervisor({ client, native, pool, taskQueue, policy: { looks: 1 } });
  later('supervisor', supervisor.stop);
  const id = await createInStore(pool, ['alice']);
  await writeDrain(pool, { since: new Date().toISOString(), by: 'operator', before: { path: 'auto', rollout: 100 } });
  await wedge(client, taskQueue, [id]);
  const complainUntil = (what: string): Promise<void> =>
    waitUntil(
      async () => {
        await reportTroubles(pool, [{ conversation: id, sign: 'task-failures', details: {} }]);
        return (await actions(id)).includes(what);
      },
      { what, everyMs: 200 },
    );
  await complainUntil('report drain');
  expect((await actions(id)).filter((action) => action.startsWith('restart'))).toEqual([]);
  expect(await saysDegraded(taskQueue)).toBe(false);
  await writeDrain(pool, undefined);
  await complainUntil('restart task-failures');
});

test('a run that fails has healed itself: it is counted once, and nothing is done', async () => {
  const { client, native } = temporal();
  const { pool } = database();
  const taskQueue = `failing-${randomUUID()}`;
  const bundle = await brokenBundle('the run');
  const failing = await startConversations({ client, connection: native, pool, taskQueue, bundle });
  const supervisor = await startSupervisor({ client, native, pool, taskQueue });
  later('supervisor', supervisor.stop);
  const id = await createInStore(pool, ['alice']);
  await failing.wake(id);
  const counted = async (): Promise<boolean> => (await actions(id)).includes('count run-failed');
  await waitUntil(counted, { what: 'it is counted' }).finally(failing.stop);
  const handle = client.workflow.getHandle(supervisorWorkflowId(taskQueue));
  const events = async (): Promise<number> => (await handle.describe()).historyLength;
  const before = await events();
  await waitUntil(async () => (await events()) > before + 20, { what: 'some rounds are over' });
  expect((await actions(id)).filter((action) => action === 'count run-failed')).toHaveLength(1);
  expect((await actions(id)).filter((action) => action.startsWith('restart'))).toEqual([]);
});

test('it continues as new with its memory, and comes back after its worker and its workflow were killed', async () => {
  const { client, native } = temporal();
  const { pool } = database();
  const conversations = await startConversations({ client, connection: native, pool });
  later('conversations', conversations.stop);
  const { taskQueue } = conversations;
  const supervisor = await startSupervisor({
    client,
    native,
    pool,
    taskQueue,
    rounds: 3,
    policy: { looks: 1, maxRestarts: 2, bucketEscalations: 1, serviceEscalations: 1, buckets: 1 },
  });
  later('supervisor', supervisor.stop);
  const handle = client.workflow.getHandle(supervisorWorkflowId(taskQueue));
  const first = (await handle.describe()).runId;
  const id = await createInStore(pool, ['alice']);
  const state = async (): Promise<SupervisorState | undefined> => handle.query(supervisorState);
  const restarted = async (): Promise<number> =>
    (await listActions(pool, 1000)).filter(({ conversation, action }) => conversation === id && action === 'restart')
      .length;
  /** It is wedged again and again, whatever the supervisor does. */
  const wedgeUntil = async (holds: () => Promise<boolean>, what: string): Promise<void> => {
    await wedge(client, taskQueue, [id]);
    let seen = await restarted();
    await waitUntil(
      async () => {
        if (await holds()) return true;
        const now = await restarted();
        if (now > seen) await wedge(client, taskQueue, [id]);
        seen = now;
        await reportTroubles(pool, [{ conversation: id, sign: 'task-failures', details: {} }]);
        return false;
      },
      { what, everyMs: 200, timeoutMs: 60_000 },
    );
  };
  await wedgeUntil(async () => (await restarted()) === 1, 'it is restarted once');

  await waitUntil(async () => (await handle.describe()).runId !== first, { what: 'it has continued as new' });
  const remembers = async (): Promise<boolean> =>
    ((await state())?.watched ?? []).some(({ conversation, restarts }) => conversation === id && restarts.length === 1);
  await waitUntil(remembers, { what: 'the next run remembers the restart' });

  // Killed, both of them. A worker that lives has it start again.
  await handle.terminate();
  await supervisor.stopWorker();
  await supervisor.startWorker();
  await ensureSupervisor(client, taskQueue, { rounds: 3 });
  await waitUntil(remembers, { what: 'it remembers the restart' });

  await wedgeUntil(async () => (await actions(id)).includes('degrade escalations'), 'the service is degraded');
  expect(await restarted()).toBe(2);
  // A slow machine may look as if no worker worked, and other tests report too.
  expect((await actions(id)).filter((action) => !action.startsWith('report '))).toEqual([
    'restart task-failures',
    'restart task-failures',
    'give-up restarts',
    'stop-bucket escalations',
    'degrade escalations',
  ]);
  await waitUntil(() => saysDegraded(taskQueue), { what: 'its sign says so' });

  // An operator gives it another chance.
  const { policy } = await readPolicy(pool);
  await writePolicy(pool, policy, randomUUID());
  await wedgeUntil(async () => (await restarted()) === 3, 'it is restarted again');
  expect(await conversations.dispatcher.submit(messageSubmission(id, 'alice'))).toMatchObject({ status: 'accepted' });
});
