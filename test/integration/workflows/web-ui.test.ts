import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Client, Connection, ScheduleOverlapPolicy, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import proto from '@temporalio/proto';
import { NativeConnection, Worker } from '@temporalio/worker';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { makeConversationWorkflows } from '../../../dispatch/conversation-workflows.ts';
import { own } from '../../../domain/own.ts';
import { makePolicy } from '../../../domain/policy.ts';
import { CONVERSATION_STATES, MEMBER_BUCKETS, RUN_TROUBLES } from '../../../domain/search-attributes.ts';
import { freePort } from '../../../local/ports.ts';
import { resolveProgram } from '../../../local/temporal-binary.ts';
import { temporalCli } from '../../../local/temporal-programs.ts';
import { startTemporal } from '../../../local/temporal-server.ts';
import { registerCommand } from '../../../ops/temporal/search-attributes.ts';
import { createCleanup } from '../../../process/cleanup.ts';
import { makeLogger } from '../../../process/logger.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { watchSearchAttributes } from '../../../process/search-attributes.ts';
import { createConversation } from '../../../store/conversation/conversations.ts';
import { factsForLists } from '../../../store/conversation/facts-for-lists.ts';
import { ConversationLockedError } from '../../../store/decision/conversation-locked.ts';
import { ensureSchedule, sweepSchedule, sweepScheduleId } from '../../../worker/schedule.ts';
import * as messages from '../../../workflows/conversation/messages.ts';
import { CONVERSATION_WORKFLOW, SWEEP_WORKFLOW } from '../../../workflows/names.ts';
import type { SweepInput } from '../../../workflows/sweep.ts';
import type { History } from '../../../tools/histories/format.ts';
import { type Conversations, quietRuntime, startConversations } from '../../../tools/harness/conversations.ts';
import { registerNamespace } from '../../../tools/harness/namespace.ts';
import { replayOptions } from '../../../worker/replay.ts';
import {
  createInStore,
  leaveSubmission,
  membershipSubmission,
  messageSubmission,
} from '../../../tools/harness/submissions.ts';
import { postgresAway } from '../../../tools/harness/trouble.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useDatabase } from '../../harness/database.ts';
import { useFolder } from '../../harness/folder.ts';

// A Temporal server of its own: its Web UI runs, and its lists hold nothing of other tests.

const database = useDatabase();
const dataDir = useFolder();
const cleanup = createCleanup();
const page = readFileSync(path.join(packageRoot(), 'docs', 'how-to', 'web-ui.md'), 'utf8');
/** By the heading above each. */
const savedQueries = new Map(
  page.split(/^### /m).flatMap((section) => {
    const [, query] = /^```text\n(.+)\n```$/m.exec(section) ?? [];
    return query === undefined ? [] : [[section.split('\n', 1)[0] ?? '', query] as const];
  }),
);

let client: Client;
let conversations: Conversations;
let address = '';
let uiUrl = '';

const { conversationWorkflowId } = messages;

/** Events of a run that decided one message. */
const FIRST_EVENTS = 10;

const workflowOf = (id: string): ReturnType<Conversations['handle']> => conversations.handle(id);
const send = (id: string): Promise<unknown> => conversations.dispatcher.submit(messageSubmission(id, 'alice'));

/** A conversation whose run decides once. */
async function someConversation(members: readonly string[] = ['alice', 'bob']): Promise<string> {
  const id = await createInStore(database().pool, members);
  await send(id);
  return id;
}

beforeAll(async () => {
  quietRuntime();
  const uiPort = await freePort();
  const say = (): void => undefined;
  const server = await startTemporal({
    binary: await resolveProgram(temporalCli, { say }),
    dataDir,
    inMemory: true,
    uiPort,
    say,
    flags: [
      ...['--dynamic-config-value', 'history.workflowIdReuseMinimalInterval="0s"'],
      // The first failure of a task counts, so that the test need not wait for the fifth.
      ...['--dynamic-config-value', 'system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=1'],
    ],
  });
  cleanup.add('server', () => server.stop());
  ({ address, uiUrl = '' } = server);
  const connection = await Connection.connect({ address: server.address });
  cleanup.add('connection', () => connection.close());
  const native = await NativeConnection.connect({ address: server.address });
  cleanup.add('native connection', () => native.close());
  client = new Client({ connection });
  conversations = await startConversations({
    client,
    connection: native,
    pool: database().pool,
    settings: { continueAfter: 8, minimumRunMs: 0 },
    shows: {
      attributes: { registered: () => true, refused: () => undefined },
      factsOf: (id) => factsForLists(database().pool, id),
      modeOf: () => 'workflow',
    },
  });
  cleanup.add('worker', () => conversations.stop());
});

afterAll(() => cleanup.run());

afterEach(() => {
  conversations.trouble.before = () => undefined;
});

/** Names of the search attributes that each change of them names; not the list of patches, which the SDK keeps. */
function upsertsOf(events: NonNullable<History['events']>): string[][] {
  return events
    .map((event) => event.upsertWorkflowSearchAttributesEventAttributes?.searchAttributes?.indexedFields ?? {})
    .map((fields) => Object.keys(fields).filter((name) => name.startsWith('Parley')))
    .filter((names) => names.length > 0);
}

const eventsOf = async (id: string): Promise<NonNullable<History['events']>> =>
  (await workflowOf(id).fetchHistory()).events ?? [];

test('each message costs six events, and the search attributes none of them', async () => {
  /** The length of the history after each of four messages; `undefined`: on a busy machine a task was late, and so tried again. */
  const lengths = async (): Promise<number[] | undefined> => {
    const id = await someConversation();
    const found = [(await eventsOf(id)).length];
    for (let messages = 2; messages <= 4; messages++) {
      await send(id);
      found.push((await eventsOf(id)).length);
    }
    const isLate = (await eventsOf(id)).some((event) =>
      Boolean(event.workflowTaskTimedOutEventAttributes ?? event.workflowTaskFailedEventAttributes),
    );
    return isLate ? undefined : found;
  };
  let found: number[] | undefined;
  await waitUntil(async () => (found = await lengths()) !== undefined, { what: 'no task is late' });
  // At first as many as in a stored history of the code before: the start, its task with a patch, and a batch with a timer.
  expect(found).toEqual([0, 1, 2, 3].map((more) => FIRST_EVENTS + 6 * more));
});

test('timers and activities say what they are for', async () => {
  const summaries = (await eventsOf(await someConversation())).map(({ userMetadata }) =>
    Buffer.from(userMetadata?.summary?.data ?? '').toString(),
  );
  expect(summaries).toContain('"decide a batch of commands"');
  expect(summaries).toContain('"idle: the run completes"');
  expect(summaries[0]).toBe('"opaque conversation"');
});

test('attributes live on in the next run, which changes nothing', async () => {
  const id = await someConversation();
  for (let i = 0; i < 9; i++) await send(id);
  const events = await eventsOf(id);
  expect(events[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId).not.toBe('');
  expect(upsertsOf(events)).toEqual([]);
  const { typedSearchAttributes } = await workflowOf(id).describe();
  expect(valuesOf(typedSearchAttributes)).toEqual({
    ParleyProtocol: 'opaque',
    ParleyState: 'active',
    ParleyMembers: '1-2',
  });
});

test('a change of the members that passes a limit is one event, and the history replays', async () => {
  const id = await someConversation();
  await conversations.dispatcher.submit(membershipSubmission(id, 'alice', { adds: ['carol'] }));
  await conversations.dispatcher.submit(membershipSubmission(id, 'alice', { adds: ['dave'] }));
  const history = await workflowOf(id).fetchHistory();
  expect(upsertsOf(history.events ?? [])).toEqual([['ParleyMembers']]);
  const { typedSearchAttributes } = await workflowOf(id).describe();
  expect(valuesOf(typedSearchAttributes)).toMatchObject({ ParleyMembers: '3-10' });
  await Worker.runReplayHistory(await replayOptions(), history);
});

test('every saved query of the docs lists what it is for, and nothing else that is here', async () => {
  const { pool } = database();
  const alive = await someConversation();
  const large = randomUUID();
  await createConversation(pool, {
    id: large,
    protocol: 'mls',
    epoch: 0,
    creator: 'alice',
    members: Array.from({ length: 12 }, (_, i) => `member-${i}`),
    policy: makePolicy({ externalJoin: 'nobody' }, { epochWindow: 2 }),
    fingerprint: randomBytes(32),
  });
  await conversations.increment({ conversation: large, user: 'member-0', by: 1 });
  const terminated = await someConversation();
  await workflowOf(terminated).terminate();
  const empty = await createInStore(pool, ['alice']);
  await conversations.dispatcher.submit(leaveSubmission(empty, 'alice'));
  const busy = await someConversation();
  for (let i = 0; i < 9; i++) await send(busy);
  const [stuck, blocked] = [await someConversation(), await someConversation()];
  conversations.trouble.before = ({ values }) => {
    const text = JSON.stringify(values);
    if (text.includes(stuck)) throw Object.assign(postgresAway(), { code: '42P01' });
    if (text.includes(blocked)) throw new ConversationLockedError();
  };
  // Twice: a single failure is no trouble.
  for (const id of [stuck, blocked]) {
    for (let i = 0; i < 2; i++) {
      await conversations
        .update(messages.resetUnread, id, [{ kind: 'read', id: randomUUID(), actor: 'alice', seq: 1 } as never])
        .catch(() => undefined);
    }
  }
  const failed = await planFailedRun();
  const wedged = randomUUID();
  await client.workflow.start(CONVERSATION_WORKFLOW, {
    workflowId: conversationWorkflowId(wedged),
    taskQueue: conversations.taskQueue,
    args: [null],
  });
  const sweepId = `sweep-${randomUUID()}`;
  await client.workflow.execute(SWEEP_WORKFLOW, { workflowId: sweepId, taskQueue: conversations.taskQueue });

  const all = new Map(
    Object.entries({ alive, large, terminated, empty, busy, stuck, blocked, failed, wedged }).map(([name, id]) => [
      conversationWorkflowId(id),
      name,
    ]),
  );
  all.set(sweepId, 'sweep');
  const expected = {
    Alive: ['alive', 'blocked', 'busy', 'empty', 'large', 'stuck', 'wedged'],
    'In trouble': ['blocked', 'stuck'],
    'Blocked in the database': ['blocked'],
    'Tasks that fail': ['wedged'],
    'Runs that failed': ['failed'],
    'Ended by an operator': ['terminated'],
    'Large mls groups': ['large'],
    'Empty or deleted': ['empty'],
    Busy: ['busy'],
    Sweeps: ['sweep'],
  };
  expect([...savedQueries.keys()].sort()).toEqual(Object.keys(expected).sort());
  for (const [name, query] of savedQueries) {
    const found = async (): Promise<string[]> => {
      const names = new Set<string>();
      for await (const { workflowId } of client.workflow.list({ query })) {
        const known = all.get(workflowId);
        if (known !== undefined) names.add(known);
      }
      return [...names].sort();
    };
    // The lists are written a moment after the events.
    await expect.poll(found, { interval: 100, message: name }).toEqual(own(expected, name));
  }
  expect(await ui(`/workflows?query=${encodeURIComponent(savedQueries.get('Large mls groups') ?? '')}`)).toContain(
    large,
  );
});

test('the Web UI that we ship gets summary, details and search attributes from its server', async () => {
  const id = await someConversation();
  const described = JSON.parse(await ui(`/workflows/${encodeURIComponent(conversationWorkflowId(id))}`)) as {
    executionConfig: { userMetadata: { summary: { data: string } } };
    workflowExecutionInfo: { searchAttributes: { indexedFields: Record<string, unknown> } };
  };
  expect(decode(described.executionConfig.userMetadata.summary.data)).toBe('"opaque conversation"');
  expect(Object.keys(described.workflowExecutionInfo.searchAttributes.indexedFields)).toEqual(
    expect.arrayContaining(['ParleyProtocol', 'ParleyState', 'ParleyMembers']),
  );
  const { currentDetails } = await workflowOf(id).query<{ currentDetails: string }>('__temporal_workflow_metadata');
  expect(currentDetails).toMatch(/^\*\*healthy\*\* · opaque · 2 members · epoch 0 · last seq 1 · /);
  expect(currentDetails).toContain('mode when this run began: workflow');
  expect(await (await fetch(uiUrl)).text()).toContain('<html');
});

test('one sweep repeats itself, and a round that fails does not end it', async () => {
  let rounds = 0;
  conversations.trouble.before = ({ name }) => {
    if (name === 'list-due' && rounds++ === 0) throw ApplicationFailure.nonRetryable('Postgres is away');
  };
  const sweep = async (forMs: number): Promise<WorkflowHandle> => {
    rounds = 0;
    const { taskQueue } = conversations;
    const args: [SweepInput] = [{ everyMs: 100, forMs }];
    const started = await client.workflow.start(SWEEP_WORKFLOW, {
      workflowId: `sweep-${randomUUID()}`,
      taskQueue,
      args,
    });
    expect(await started.result()).toMatchObject({ woken: expect.any(Number) as number, deleted: { staged: 0 } });
    return started;
  };
  let handle = await sweep(2000);
  // A busy machine needs more time for as many rounds.
  for (let forMs = 4000; rounds < 3; forMs *= 2) handle = await sweep(forMs);
  const { events = [] } = await handle.fetchHistory();
  expect(events?.filter(({ timerStartedEventAttributes: timer }) => timer).length).toBeGreaterThanOrEqual(2);
  const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  expect(currentDetails).toMatch(/^\*\*round (?:[3-9]|\d{2,})\*\* · \d+ conversations woken/);
  await Worker.runReplayHistory(await replayOptions(), await handle.fetchHistory());
});

test('a schedule of an earlier release becomes one run an hour, and keeps what an operator changed', async () => {
  const taskQueue = `old-${randomUUID()}`;
  const scheduleId = sweepScheduleId(taskQueue);
  const handle = await client.schedule.create({
    scheduleId,
    spec: { intervals: [{ every: '1 minute' }] },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 minute' },
    action: {
      type: 'startWorkflow',
      workflowType: SWEEP_WORKFLOW,
      workflowId: `sweep/${taskQueue}`,
      taskQueue,
      workflowExecutionTimeout: '5 minutes',
    },
  });
  await handle.pause('by an operator');
  for (let workers = 0; workers < 2; workers++) await ensureSchedule(client, sweepSchedule(taskQueue));
  const { action, policies, spec, state } = await handle.describe();
  expect(action).toMatchObject({
    args: [{ everyMs: 60_000, forMs: 3_600_000 }],
    workflowExecutionTimeout: 90 * 60_000,
    workflowId: `sweep/${taskQueue}`,
  });
  expect(policies.overlap).toBe('SKIP');
  expect(spec.intervals).toMatchObject([{ every: 60_000 }]);
  expect(state.paused).toBe(true);
  await handle.delete();
});

test('in a namespace without the search attributes the service says so and goes without, until they are there', async () => {
  const namespace = `bare-${randomUUID()}`;
  await registerNamespace(address, namespace);
  const bare = new Client({ connection: client.connection, namespace });
  const lines: { msg: string }[] = [];
  const log = makeLogger({
    level: 'info',
    name: 'test',
    destination: { write: (line) => void lines.push(JSON.parse(line) as { msg: string }) },
  });
  const attributes = await watchSearchAttributes(bare, log);
  expect(attributes.registered()).toBe(false);
  expect(lines.map(({ msg }) => msg)).toEqual([expect.stringContaining('lacks search attributes')]);
  attributes.close();

  // Believed to be there, and refused by the server: the start is made without them.
  let refused = 0;
  const workflows = makeConversationWorkflows({
    client: bare,
    taskQueue: 'nobody',
    settings: conversations.settings,
    attributes: { registered: () => refused === 0, refused: () => (refused += 1) },
    factsOf: () => Promise.resolve({ protocol: 'mls', memberCount: 1 }),
  });
  const id = randomUUID();
  await workflows.start(id);
  expect(refused).toBe(1);
  const handle = bare.workflow.getHandle(conversationWorkflowId(id));
  expect(await (await handle.describe()).staticSummary()).toBe('mls conversation');
  await handle.terminate();

  const there = await watchSearchAttributes(client, log);
  expect(there.registered()).toBe(true);
  there.close();
});

test('the docs have the command that registers the search attributes, and all their values', () => {
  expect(page).toContain(`\n${registerCommand('default')}\n`);
  for (const value of [...CONVERSATION_STATES, ...MEMBER_BUCKETS, ...RUN_TROUBLES])
    expect(page).toContain(`\`${value}\``);
});

/** An answer of the Web UI's own server, as text. */
async function ui(target: string): Promise<string> {
  const response = await fetch(`${uiUrl}/api/v1/namespaces/default${target}`);
  expect(response.status).toBe(200);
  return response.text();
}

function decode(base64: string): string {
  return Buffer.from(base64, 'base64').toString();
}

/** Takes the first task of a run in place of a worker, and fails the run. @returns id of the conversation */
async function planFailedRun(): Promise<string> {
  const id = randomUUID();
  const taskQueue = `failing-${id}`;
  await client.workflow.start(CONVERSATION_WORKFLOW, { workflowId: conversationWorkflowId(id), taskQueue });
  const { workflowService } = client;
  const { taskToken } = await client.withDeadline(Date.now() + 20_000, () =>
    workflowService.pollWorkflowTaskQueue({ namespace: 'default', taskQueue: { name: taskQueue }, identity: 'test' }),
  );
  await workflowService.respondWorkflowTaskCompleted({
    namespace: 'default',
    taskToken,
    commands: [
      {
        commandType: proto.temporal.api.enums.v1.CommandType.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION,
        failWorkflowExecutionCommandAttributes: { failure: { message: 'planted' } },
      },
    ],
  });
  return id;
}

function valuesOf(attributes: { getAll: () => { key: { name: string }; value: unknown }[] }): Record<string, unknown> {
  return Object.fromEntries(
    attributes
      .getAll()
      .filter(({ key }) => key.name.startsWith('Parley'))
      .map(({ key, value }) => [key.name, value]),
  );
}
