import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import type pg from 'pg';
import { createCleanup } from '../../process/cleanup.ts';
import { packageRoot } from '../../process/package-root.ts';
import { makePool } from '../../store/pool.ts';
import * as messages from '../../workflows/conversation/messages.ts';
import {
  CONSISTENCY_WORKFLOW,
  OFF_BOARDING_WORKFLOW,
  PUSH_RETRY_WORKFLOW,
  SWEEP_WORKFLOW,
} from '../../workflows/names.ts';
import { beginOffBoarding, readOffBoardingById } from '../../store/off-boarding/off-boardings.ts';
import type { SweepInput } from '../../workflows/sweep.ts';
import { supervisorWorkflowId } from '../../workflows/supervisor/messages.ts';
import { type Conversations, quietRuntime, startConversations } from '../harness/conversations.ts';
import {
  commitSubmission,
  createInStore,
  membershipSubmission,
  messageSubmission,
  readSubmission,
  stagedChange,
  submission,
} from '../harness/submissions.ts';
import { startServers } from '../harness/servers.ts';
import { startSupervisor, wedge } from '../harness/supervisor.ts';
import { makeGate, postgresAway } from '../harness/trouble.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { seedMany } from '../load/seed-many.ts';
import { optionsOrExit } from '../command-line.ts';
import { type History, historyToText } from './format.ts';
import { PLANTED } from './planted.ts';
import { own } from '../../domain/own.ts';

/**
 * `npm run histories` records a history of each kind from a real server, as `<version>-<kind>.json`. Histories of a
 * released version are never recorded again: new code must always be able to replay them. Use `-- --replace` only
 * before a release. Between releases `-- --next` records `next-<kind>.json`, in place of those that are there; the next
 * recording of a version removes them; `-- --next --only <kind>` leaves those of other kinds alone.
 */
// Stored histories must not depend on the machine: no paths in stack traces, no host name in identities.
Error.stackTraceLimit = 0;
const folder = path.join(packageRoot(), 'test', 'histories');
const { version } = JSON.parse(readFileSync(path.join(packageRoot(), 'package.json'), 'utf8')) as { version: string };

const NEXT = 'next';

interface Recording {
  readonly conversations: Conversations;
  readonly native: NativeConnection;
  readonly pool: pg.Pool;
}

/** @returns workflow ids. Every run of each workflow is recorded. */
type Scenario = (recording: Recording) => Promise<string[]>;

const SETTINGS: Readonly<Record<string, Partial<messages.ConversationSettings>>> = {
  'idle-completion': { idleMs: 1500 },
  'continue-as-new': { continueAfter: 3, minimumRunMs: 0 },
  'search-attributes': { searchAttributes: true },
};

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  messages: async ({ conversations, pool }) => {
    const id = await createInStore(pool, ['creator', PLANTED.sender]);
    await conversations.dispatcher.submit(messageSubmission(id, PLANTED.sender, PLANTED.ciphertext));
    await Promise.all(
      Array.from({ length: 40 }, () => conversations.dispatcher.submit(messageSubmission(id, PLANTED.sender))),
    );
    const repeated = messageSubmission(id, PLANTED.sender);
    for (let i = 0; i < 2; i++) await conversations.dispatcher.submit(repeated);
    return [workflowOf(id)];
  },

  'commits-and-members': async ({ conversations, pool }) => {
    const id = await createInStore(pool, ['creator', PLANTED.sender]);
    const { submit } = conversations.dispatcher;
    const bundle = { adds: [PLANTED.added], welcome: PLANTED.welcome };
    await submit(commitSubmission(id, PLANTED.sender, 0, bundle, PLANTED.commit));
    await submit(commitSubmission(id, PLANTED.sender, 0));
    await submit(membershipSubmission(id, 'creator', { adds: ['dave'] }));
    await submit(membershipSubmission(id, 'creator', { removes: ['dave'] }));
    await submit(readSubmission(id, 'creator'));
    await submit(submission(id, { kind: 'policy', id: randomUUID(), actor: 'creator', policy: { maxMembers: 9 } }));
    await submit(submission(id, { kind: 'leave', id: randomUUID(), actor: 'creator' }));
    return [workflowOf(id)];
  },

  'group-info-and-repair': async ({ conversations, pool }) => {
    const id = await createInStore(pool, ['creator', PLANTED.sender]);
    const { submit } = conversations.dispatcher;
    const bytes = { ciphertext: Buffer.alloc(0), groupInfo: PLANTED.groupInfo };
    await submit(submission(id, { kind: 'group-info', id: randomUUID(), actor: PLANTED.sender, epoch: 0, bytes }));
    const report = { kind: 'report', id: randomUUID(), seq: 0, epoch: 0 } as const;
    await submit(submission(id, { ...report, actor: PLANTED.sender, reason: PLANTED.reason }));
    const successor = randomBytes(16).toString('base64url');
    await submit(submission(id, { kind: 'reset', id: randomUUID(), actor: 'creator', successor }));
    return [workflowOf(id)];
  },

  increments: async ({ conversations, pool }) => {
    const id = await createInStore(pool, ['creator', 'reader', PLANTED.sender]);
    await conversations.increment({ conversation: id, user: 'creator', by: 2 });
    await waitUntil(async () => (await conversations.state(id)).decided === 1, { what: 'the timer flushes' });
    await conversations.increment({ conversation: id, user: 'creator', by: 3 });
    await conversations.dispatcher.submit(messageSubmission(id, PLANTED.sender));
    return [workflowOf(id)];
  },

  retention: async ({ conversations, pool }) => {
    const id = await createInStore(pool, ['creator', PLANTED.sender], { retentionDays: 1 });
    await conversations.dispatcher.submit(messageSubmission(id, PLANTED.sender, PLANTED.ciphertext));
    await conversations.handle(id).terminate();
    await pool.query(`update entry set at = at - interval '2 days'`);
    await pool.query(`update conversation set due_at = due_at - interval '2 days' where id = $1`, [id]);
    await conversations.wake(id);
    await waitUntil(async () => (await conversations.state(id)).facts?.dueAt === undefined, {
      what: 'the body is gone',
    });
    return [workflowOf(id)];
  },

  // A due time that a direct decision has set: the run does not know of it until the sweep tells it.
  refresh: async ({ conversations, pool }) => {
    const id = await createInStore(pool, ['creator', PLANTED.sender], { retentionDays: 1 });
    await conversations.dispatcher.submit(messageSubmission(id, PLANTED.sender, PLANTED.ciphertext));
    await pool.query(`update entry set at = at - interval '2 days'`);
    await pool.query(`update conversation set due_at = due_at - interval '2 days' where id = $1`, [id]);
    await conversations.handle(id).signal(messages.refresh);
    await waitUntil(async () => (await conversations.state(id)).facts?.dueAt === undefined, {
      what: 'the body is gone',
    });
    return [workflowOf(id)];
  },

  'idle-completion': async ({ conversations, pool }) => {
    const id = await createInStore(pool, ['creator', PLANTED.sender]);
    await conversations.dispatcher.submit(messageSubmission(id, PLANTED.sender));
    await conversations.handle(id).result();
    return [workflowOf(id)];
  },

  shutdown: async ({ conversations, pool }) => {
    const id = await createInStore(pool, ['creator', PLANTED.sender]);
    await conversations.dispatcher.submit(messageSubmission(id, PLANTED.sender));
    const handle = conversations.handle(id);
    await conversations.increment({ conversation: id, user: 'creator', by: 1 });
    await handle.signal(messages.shutdown, { reason: 'recorded' });
    await handle.result();
    return [workflowOf(id)];
  },

  cancel: async ({ conversations, pool }) => {
    const id = await createInStore(pool, ['creator', PLANTED.sender]);
    await conversations.dispatcher.submit(messageSubmission(id, PLANTED.sender));
    const handle = conversations.handle(id);
    await handle.cancel();
    await handle.result();
    return [workflowOf(id)];
  },

  'continue-as-new': async ({ conversations, pool }) => {
    const id = await createInStore(pool, ['creator', PLANTED.sender]);
    const send = (): Promise<unknown> => conversations.dispatcher.submit(messageSubmission(id, PLANTED.sender));
    await send();
    await send();
    // The increment arrives while the last batch of the run is decided. The next run takes it over.
    const gate = makeGate();
    conversations.trouble.before = gate.pass;
    const last = send();
    await waitUntil(() => gate.waiting() === 1, { what: 'the last batch is being decided' });
    await conversations.increment({ conversation: id, user: 'creator', by: 1 });
    conversations.trouble.before = () => undefined;
    gate.open();
    await last;
    for (let i = 0; i < 4; i++) await send();
    return [workflowOf(id)];
  },

  // The new run gets signals and updates of the old one in one task.
  reset: async ({ conversations, pool }) => {
    const id = await createInStore(pool, ['creator', PLANTED.sender]);
    const send = (): Promise<unknown> => conversations.dispatcher.submit(messageSubmission(id, PLANTED.sender));
    for (let i = 0; i < 2; i++) await send();
    for (let i = 0; i < 2; i++) {
      await send();
      await conversations.increment({ conversation: id, user: 'creator', by: 1 });
    }
    await conversations.reset(id, 2);
    await send();
    return [workflowOf(id)];
  },

  infra: async ({ conversations, pool }) => {
    const id = await createInStore(pool, ['creator', PLANTED.sender]);
    await conversations.dispatcher.submit(messageSubmission(id, PLANTED.sender));
    conversations.trouble.before = () => {
      throw postgresAway();
    };
    const add = stagedChange(id, 'creator', { adds: ['dave'] });
    await conversations.update(messages.addMembers, id, [add]).catch(() => undefined);
    conversations.trouble.before = () => undefined;
    await conversations.update(messages.addMembers, id, [add]);
    const defect = { kind: 'nonsense', id: 'defect' } as never;
    await conversations.update(messages.administer, id, [defect]).catch(() => undefined);
    return [workflowOf(id)];
  },

  // Two runs: one in which it restarts a conversation, and the next one.
  supervisor: async ({ conversations, pool, native }) => {
    const { client, taskQueue } = conversations;
    const id = await createInStore(pool, ['creator', PLANTED.sender]);
    await conversations.dispatcher.submit(messageSubmission(id, PLANTED.sender, PLANTED.ciphertext));
    await wedge(client, taskQueue, [id]);
    const wedged = (await conversations.handle(id).describe()).runId;
    const policy = { intervalMs: 1000 };
    const supervisor = await startSupervisor({ client, native, pool, taskQueue, policy, rounds: 12 });
    const handle = client.workflow.getHandle(supervisorWorkflowId(taskQueue));
    const first = (await handle.describe()).runId;
    await waitUntil(async () => (await conversations.handle(id).describe()).runId !== wedged, { what: 'it restarts' });
    await waitUntil(async () => (await handle.describe()).runId !== first, { what: 'it continues as new' });
    await supervisor.stop();
    return [supervisorWorkflowId(taskQueue)];
  },

  sweep: async ({ conversations }) => {
    const workflowId = 'recorded-sweep';
    await conversations.client.workflow.execute(SWEEP_WORKFLOW, { workflowId, taskQueue: conversations.taskQueue });
    return [workflowId];
  },

  // Two steps at least: the pause between them is a timer.
  consistency: async ({ conversations, pool }) => {
    await seedMany(pool, { name: 'recorded', conversations: 10_000, members: 2 });
    const workflowId = 'recorded-consistency';
    const { taskQueue } = conversations;
    await conversations.client.workflow.execute(CONSISTENCY_WORKFLOW, { workflowId, taskQueue, args: [false] });
    return [workflowId];
  },

  // Two steps: members have to commit in between.
  'off-boarding': async ({ conversations: { client, taskQueue }, pool }) => {
    const id = await createInStore(pool, ['creator', PLANTED.sender]);
    await pool.query(`update conversation set protocol = 'mls' where id = $1`, [id]);
    const offBoarding = await beginOffBoarding(
      pool,
      { user: PLANTED.sender, device: '', actor: 'operator' },
      'account-closed',
    );
    const workflowId = 'recorded-off-boarding';
    const handle = await client.workflow.start(OFF_BOARDING_WORKFLOW, { workflowId, taskQueue, args: [offBoarding] });
    const waiting = { what: 'the user has left' };
    await waitUntil(async () => (await readOffBoardingById(pool, offBoarding))?.isWorked === true, waiting);
    await pool.query(
      'update removal set done_at = clock_timestamp() where conversation = (select key from conversation where id = $1)',
      [id],
    );
    await handle.result();
    return [workflowId];
  },

  'push-retry': async ({ conversations: { client, taskQueue } }) => {
    const workflowId = 'recorded-push-retry';
    await client.workflow.execute(PUSH_RETRY_WORKFLOW, { workflowId, taskQueue, args: [] });
    return [workflowId];
  },

  // Without attributes at its start the run sets them, and changes one when the group grows.
  'search-attributes': async ({ conversations, pool }) => {
    const id = await createInStore(pool, ['creator', PLANTED.sender]);
    await conversations.dispatcher.submit(messageSubmission(id, PLANTED.sender));
    await conversations.dispatcher.submit(membershipSubmission(id, 'creator', { adds: ['dave', 'erin'] }));
    return [workflowOf(id)];
  },

  'sweep-rounds': async ({ conversations: { client, taskQueue } }) => {
    const workflowId = 'recorded-sweep-rounds';
    const args = [{ everyMs: 300, forMs: 1000 } satisfies SweepInput];
    await client.workflow.execute(SWEEP_WORKFLOW, { workflowId, taskQueue, args });
    return [workflowId];
  },
};

function workflowOf(conversation: string): string {
  return messages.conversationWorkflowId(conversation);
}

async function main(): Promise<void> {
  const option = { type: 'boolean', default: false } as const;
  const { replace, next, only } = optionsOrExit(
    (args) =>
      parseArgs({ args: [...args], options: { replace: option, next: option, only: { type: 'string' } } }).values,
    'npm run histories [-- --replace | --next [--only <kind>]]',
  );
  if (only !== undefined && !next) throw new Error('A release has histories of all kinds: --only goes with --next.');
  const names = Object.keys(SCENARIOS).filter((name) => only === undefined || name === only);
  const label = next ? NEXT : version;
  const stored = readdirSync(folder);
  const kept = stored.filter((name) => name.startsWith(`${label}-`));
  if (kept.length > 0 && !replace && !next) {
    throw new Error(`Histories of ${version} exist. Raise the version, or give --replace if it was never released.`);
  }
  for (const name of stored.filter((one) => kept.includes(one) || one.startsWith(`${NEXT}-`))) {
    if (only === undefined || isOfKind(name, only)) rmSync(path.join(folder, name));
  }

  const cleanup = createCleanup();
  try {
    const servers = await startServers({ say, durable: false });
    cleanup.add('servers', servers.stop);
    const pool = makePool({ url: await servers.createDatabase('histories'), max: 10, name: 'histories' });
    // The server may stop before the last socket is closed.
    pool.on('error', () => undefined);
    cleanup.add('pool', () => pool.end());
    quietRuntime();
    const connection = await Connection.connect({ address: servers.temporalAddress });
    cleanup.add('connection', () => connection.close());
    const native = await NativeConnection.connect({ address: servers.temporalAddress });
    cleanup.add('native connection', () => native.close());
    const client = new Client({ connection, identity: 'recorder' });
    for (const name of names) await record(name, label, { client, native, pool });
  } finally {
    await cleanup.run();
  }
  writeManifest(label);
}

async function record(
  name: string,
  label: string,
  { client, native, pool }: { client: Client; native: NativeConnection; pool: pg.Pool },
): Promise<void> {
  const scenario = own(SCENARIOS, name);
  if (scenario === undefined) throw new Error(`There is no scenario ${name}`);
  say(`recording ${name}`);
  const conversations = await startConversations({
    client,
    connection: native,
    pool,
    settings: own(SETTINGS, name) ?? {},
  });
  try {
    for (const workflowId of await scenario({ conversations, pool, native })) {
      let run = 0;
      const { runId } = await client.workflow.getHandle(workflowId).describe();
      for (let next: string | undefined = await firstRun(client, workflowId, runId); next !== undefined; run++) {
        const history: History = await client.workflow.getHandle(workflowId, next).fetchHistory();
        const file = `${label}-${name}${run === 0 ? '' : `-${run + 1}`}.json`;
        writeFileSync(path.join(folder, file), historyToText(history));
        const last = history.events?.at(-1);
        const following: string | undefined =
          last?.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId ?? undefined;
        // A run that was reset does not name the run that took its place.
        next = following ?? (next === runId ? undefined : runId);
      }
      await client.workflow
        .getHandle(workflowId)
        .terminate()
        .catch(() => undefined);
    }
  } finally {
    await conversations.stop();
  }
}

/** The first run of a chain. Each run that was continued as new names it. */
async function firstRun(client: Client, workflowId: string, runId: string): Promise<string> {
  const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  return events?.[0]?.workflowExecutionStartedEventAttributes?.firstExecutionRunId ?? runId;
}

/** Whether a file is one of the runs of a scenario. */
function isOfKind(file: string, scenario: string): boolean {
  return file.replace(/(?:-\d+)?\.json$/, '') === `${NEXT}-${scenario}`;
}

/** Adds the files of this label. Lines of released versions stay: they show when such a file was edited. */
function writeManifest(label: string): void {
  const manifestFile = path.join(folder, 'manifest.json');
  const manifest = JSON.parse(readFileSync(manifestFile, 'utf8')) as Record<string, string>;
  const isOurs = (name: string): boolean => name.startsWith(`${label}-`);
  const released = Object.entries(manifest).filter(([name]) => !isOurs(name) && !name.startsWith(`${NEXT}-`));
  const added = readdirSync(folder)
    .filter(isOurs)
    .map((name) => {
      const bytes = readFileSync(path.join(folder, name));
      return [name, createHash('sha256').update(bytes).digest('hex')] as const;
    });
  const lines = [...released, ...added].sort(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(manifestFile, `${JSON.stringify(Object.fromEntries(lines), null, 2)}\n`);
  say(`${lines.length} histories`);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

await main();
process.exit();
