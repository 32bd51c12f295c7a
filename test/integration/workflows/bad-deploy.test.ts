import { randomUUID } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Client, Connection, WorkflowFailedError } from '@temporalio/client';
import { NativeConnection, bundleWorkflowCode } from '@temporalio/worker';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { makeConversationWorkflows } from '../../../dispatch/conversation-workflows.ts';
import { makeWorkflowRuns } from '../../../dispatch/workflow-runs.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { readPage } from '../../../store/log/entries.ts';
import { type Conversations, quietRuntime, startConversations } from '../../../tools/harness/conversations.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { upTo } from '../../../tools/harness/opaque.ts';
import { createInStore, messageSubmission } from '../../../tools/harness/submissions.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { watchFailedRuns } from '../../../worker/failed-runs.ts';
import { DEFAULT_SETTINGS, conversationWorkflowId } from '../../../workflows/conversation/messages.ts';
import { useCleanup } from '../../harness/cleanup.ts';
import { useDatabase } from '../../harness/database.ts';
import { useFolder } from '../../harness/folder.ts';

/** Workers whose code cannot replay the runs that are there, and runs that answer nobody. */
const database = useDatabase();
const later = useCleanup();
const folder = useFolder();
const DEADLINE_MS = 10_000;
let connection: Connection;
let client: Client;
let native: NativeConnection;

beforeAll(async () => {
  quietRuntime();
  const address = inject('temporalAddress');
  connection = await Connection.connect({ address });
  native = await NativeConnection.connect({ address });
  client = new Client({ connection });
});
afterAll(async () => {
  await native.close();
  await connection.close();
});

/** The built workflow code with a change, as a careless release would have it. */
async function changedBundle(name: string, from: string, to: string): Promise<string> {
  const root = packageRoot();
  const copy = path.join(folder, name);
  mkdirSync(copy);
  for (const room of ['workflows', 'domain'])
    cpSync(path.join(root, 'dist', room), path.join(copy, room), { recursive: true });
  symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
  writeFileSync(path.join(copy, 'package.json'), '{"type": "module"}');
  const file = path.join(copy, 'workflows', 'conversation', 'workflow.js');
  const code = readFileSync(file, 'utf8');
  expect(code).toContain(from);
  writeFileSync(file, code.replace(from, to).replace('CancellationScope,', 'CancellationScope, sleep,'));
  const silent = (): void => undefined;
  const bundle = await bundleWorkflowCode({
    workflowsPath: path.join(copy, 'workflows', 'index.js'),
    logger: { trace: silent, debug: silent, info: silent, log: silent, warn: silent, error: silent },
  });
  return bundle.code;
}

async function start(taskQueue: string, bundle?: string): Promise<Conversations> {
  const started = await startConversations({
    client,
    connection: native,
    pool: database().pool,
    taskQueue,
    // No run counts an increment by its timer.
    settings: { flushMs: 3600_000 },
    ...(bundle === undefined ? {} : { bundle }),
  });
  return started;
}

const ANNOUNCE = 'announceStart();\n';

test('a release that cannot replay a run makes it fail: the conversation lives on, nothing is lost, and the failure is counted', async () => {
  const taskQueue = `bad-deploy-${randomUUID()}`;
  const failedRuns = watchFailedRuns(client, taskQueue, pino({ level: 'silent' }));
  later('failed runs', failedRuns.close);
  const { pool } = database();
  const id = await createInStore(pool, ['alice', 'bob']);
  const good = await start(taskQueue);
  for (let seq = 1; seq <= 3; seq++) {
    expect(await good.dispatcher.submit(messageSubmission(id, 'alice'))).toMatchObject({ seq });
  }
  await good.increment({ conversation: id, user: 'alice', by: 5 });
  const { runId } = await good.handle(id).describe();
  await good.stop();

  const bad = await start(taskQueue, await changedBundle('timer', ANNOUNCE, `${ANNOUNCE}    await sleep(1);\n`));
  try {
    // The worker of the old code is gone: the new one replays. The update is in flight meanwhile, and is answered.
    expect(await bad.dispatcher.submit(messageSubmission(id, 'alice'))).toMatchObject({ status: 'accepted', seq: 4 });
    const failed = client.workflow.getHandle(conversationWorkflowId(id), runId);
    await expect(failed.result()).rejects.toThrow(WorkflowFailedError);
    expect((await failed.describe()).status.name).toBe('FAILED');
    expect((await bad.handle(id).describe()).runId).not.toBe(runId);

    for (let seq = 5; seq <= 7; seq++) {
      expect(await bad.dispatcher.submit(messageSubmission(id, 'bob'))).toMatchObject({ seq });
    }
    // What the failed run had not counted.
    await bad.handle(id).terminate();
    await bad.wake(id);
    const bobs = async (): Promise<number | undefined> => {
      const { rows } = await pool.query<{ unread: number }>(
        `select c.increments - m.increments_base as unread from conversation c join member m on m.conversation = c.key
         where c.id = $1 and m.user_id = 'bob'`,
        [id],
      );
      return rows[0]?.unread;
    };
    await waitUntil(async () => (await bobs()) === 5, { what: 'the increment is counted' });
    const page = await readPage(pool, id, 'bob', 0, 100);
    expect(page?.entries.map(({ seq }) => seq)).toEqual(upTo(7));
    await checkInvariants(pool, id);

    await waitUntil(
      async () => {
        await failedRuns.look();
        return failedRuns.count() > 0;
      },
      { what: 'the failed run is counted' },
    );
    expect(failedRuns.count()).toBe(1);
  } finally {
    await bad.stop();
  }
});

test('a run whose tasks fail for ever, and a run without any worker, are restarted within the deadline', async () => {
  const taskQueue = `wedged-${randomUUID()}`;
  const { pool } = database();
  const id = await createInStore(pool, ['alice', 'bob']);
  const workflows = makeConversationWorkflows({ client, taskQueue, settings: DEFAULT_SETTINGS });
  const runs = makeWorkflowRuns({ client, workflows, namespace: 'default', uiUrl: undefined });
  const restart = (): Promise<unknown> => runs.restart(id as never, 'wedged', Date.now() + DEADLINE_MS);
  const wedging = await changedBundle('wedge', ANNOUNCE, `${ANNOUNCE}    throw new Error('wedged');\n`);

  const wedged = await start(taskQueue, wedging);
  await workflows.start(id);
  const { runId } = await wedged.handle(id).describe();
  await waitUntil(async () => (await attempts(id)) > 1, { what: 'its tasks fail' });
  expect(await restart()).toBe('terminated');
  expect((await client.workflow.getHandle(conversationWorkflowId(id), runId).describe()).status.name).toBe(
    'TERMINATED',
  );
  await wedged.stop();

  // The server alone ends a run that no worker runs.
  const second = await wedged.handle(id).describe();
  expect(await restart()).toBe('terminated');
  expect((await wedged.handle(id).describe()).runId).not.toBe(second.runId);

  const good = await start(taskQueue);
  try {
    expect(await good.dispatcher.submit(messageSubmission(id, 'alice'))).toMatchObject({ seq: 1 });
    // A run that a busy machine keeps from ending in time is terminated, as it should be.
    await waitUntil(async () => (await restart()) === 'completed', { what: 'a run ends by itself' });
    expect(await good.dispatcher.submit(messageSubmission(id, 'alice'))).toMatchObject({ seq: 2 });
  } finally {
    await good.stop();
  }
});

/** Attempts of the task that the newest run has pending. */
async function attempts(conversation: string): Promise<number> {
  const { raw } = await client.workflow.getHandle(conversationWorkflowId(conversation)).describe();
  return raw.pendingWorkflowTask?.attempt ?? 0;
}
