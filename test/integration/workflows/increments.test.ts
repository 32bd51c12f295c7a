import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createSweepActivities } from '../../../activities/sweep.ts';
import { makeDirectExecutor } from '../../../dispatch/direct-executor.ts';
import { makeSubmitIncrement } from '../../../dispatch/increments.ts';
import { makeNotifier } from '../../../store/log/notifications.ts';
import { storeIncrement } from '../../../store/log/increments.ts';
import { SWEEP_AGES } from '../../../worker/create-worker.ts';
import { incrementUnread } from '../../../workflows/conversation/messages.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { createInStore, messageSubmission } from '../../../tools/harness/submissions.ts';
import { postgresAway } from '../../../tools/harness/trouble.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useConversations } from '../../harness/conversations.ts';
import { useDatabase } from '../../harness/database.ts';
import { unreadOf } from '../../harness/unread.ts';

/** Increments are exact (invariant 7) whatever happens to the run that should count them. */
const database = useDatabase();
// No run counts an increment by its timer while a test looks.
const conversations = useConversations(database, { flushMs: 3600_000 });

const unread = (conversation: string, user: string): Promise<number> => unreadOf(database().pool, conversation, user);

async function waiting(conversation: string): Promise<number | null> {
  const { rowCount } = await database().pool.query(
    'select from pending_increment p join conversation c on c.key = p.conversation where c.id = $1',
    [conversation],
  );
  return rowCount;
}

/** A run with an increment that it has taken and not counted. */
async function startWithIncrement(): Promise<string> {
  const id = await createInStore(database().pool, ['alice', 'bob']);
  expect(await conversations.dispatcher.submit(messageSubmission(id, 'alice'))).toMatchObject({ seq: 1 });
  // A signal that a busy machine delays for a second is given up, and the increment counted directly: this one has the time it needs.
  const command = { kind: 'increment', id: randomUUID(), actor: 'alice', by: 7 } as const;
  expect(await submitWith()(id, command)).toEqual({ status: 'accepted' });
  await waitUntil(async () => (await conversations.state(id)).pendingIncrements === 1, { what: 'the run has it' });
  expect(await unread(id, 'bob')).toBe(1);
  return id;
}

const ends = {
  terminate: (id: string) => conversations.handle(id).terminate('test'),
  reset: (id: string) => conversations.reset(id, 1),
} as const;

test.each(Object.entries(ends))('%s before they are counted: the next run counts them once', async (_, end) => {
  const id = await startWithIncrement();
  await end(id);
  await conversations
    .handle(id)
    .signal('shutdown')
    .catch(() => undefined);
  await conversations.wake(id).catch(() => undefined);
  await waitUntil(async () => (await waiting(id)) === 0, { what: 'it is counted' });
  expect(await unread(id, 'bob')).toBe(8);
  expect(await conversations.dispatcher.submit(messageSubmission(id, 'alice'))).toMatchObject({ seq: 2 });
  expect(await unread(id, 'bob')).toBe(9);
  await checkInvariants(database().pool, id);
});

test('a next run that is started by an operation counts them with its first batch', async () => {
  const id = await startWithIncrement();
  await conversations.handle(id).terminate('test');
  expect(await conversations.dispatcher.submit(messageSubmission(id, 'alice'))).toMatchObject({ seq: 2 });
  expect(await unread(id, 'bob')).toBe(9);
});

test('without a next run the sweep counts them, and one conversation in trouble does not keep the others waiting', async () => {
  const [id, broken] = [await startWithIncrement(), await startWithIncrement()];
  for (const one of [id, broken]) await conversations.handle(one).terminate('test');
  await database().pool.query(`update pending_increment set at = at - interval '1 minute'`);
  const failures: string[] = [];
  let isBroken = true;
  const { pool } = database();
  const query = (config: { name?: string; values?: unknown[] }): unknown => {
    if (isBroken && config.name === 'list-increments' && config.values?.[0] === broken) throw postgresAway();
    return pool.query(config as never);
  };
  const sweep = createSweepActivities({
    pool: Object.assign(Object.create(pool) as typeof pool, { query: query as never }),
    ages: SWEEP_AGES,
    onSwept: () => undefined,
    wake: () => Promise.resolve(),
    startOffBoarding: () => Promise.resolve(),
    onFailure: (conversation) => failures.push(conversation),
  });
  await sweep.wakeDue({ now: Date.now() });
  expect([await unread(id, 'bob'), await unread(broken, 'bob'), failures]).toEqual([8, 1, [broken]]);
  isBroken = false;
  await sweep.wakeDue({ now: Date.now() });
  expect([await unread(id, 'bob'), await unread(broken, 'bob')]).toEqual([8, 8]);
});

test('a crash between the row and the signal loses nothing, and the repeated request counts once', async () => {
  const id = await createInStore(database().pool, ['alice', 'bob']);
  const command = { kind: 'increment', id: randomUUID(), actor: 'alice', by: 3 } as const;
  await storeIncrement(database().pool, id, command);
  // The process is gone. The client asks another one.
  expect(await submitWith()(id, command)).toEqual({ status: 'duplicate' });
  await conversations.dispatcher.submit(messageSubmission(id, 'alice'));
  expect(await unread(id, 'bob')).toBe(4);
  expect(await waiting(id)).toBe(0);
});

test('Temporal away: 202 and counted at once; both ways at the same time count once', async () => {
  const id = await createInStore(database().pool, ['alice', 'bob']);
  const away = submitWith({ increment: () => Promise.reject(Object.assign(new Error('away'), { code: 14 })) });
  expect(await away(id, { kind: 'increment', id: 'a', actor: 'alice', by: 3 })).toEqual({ status: 'accepted' });
  expect(await unread(id, 'bob')).toBe(3);

  // The signal arrives although its sender has given it up.
  const late = submitWith({
    increment: async (conversation, increment) => {
      await conversations.client.workflow.getHandle(`conversation/${conversation}`).signal(incrementUnread, increment);
      throw Object.assign(new Error('no answer'), { code: 4 });
    },
  });
  await conversations.dispatcher.submit(messageSubmission(id, 'alice'));
  const decided = async (): Promise<number> => (await conversations.state(id)).decided;
  const before = await decided();
  expect(await late(id, { kind: 'increment', id: 'b', actor: 'alice', by: 10 })).toEqual({ status: 'accepted' });
  await conversations.dispatcher.submit(messageSubmission(id, 'alice'));
  await waitUntil(async () => (await decided()) >= before + 2, { what: 'the run has decided the signal too' });
  expect(await unread(id, 'bob')).toBe(15);
});

test('without Temporal and without the lock it is still answered: it is stored', async () => {
  const id = await createInStore(database().pool, ['alice', 'bob']);
  const direct = (): Promise<never> => Promise.reject(new Error('locked'));
  const stored = submitWith({ increment: () => Promise.reject(new Error('away')) }, direct);
  expect(await stored(id, { kind: 'increment', id: 'a', actor: 'alice', by: 3 })).toEqual({ status: 'accepted' });
  expect([await unread(id, 'bob'), await waiting(id)]).toEqual([0, 1]);
});

test('a run counts what a process of 0.2.0 signals whole', async () => {
  const id = await createInStore(database().pool, ['alice', 'bob']);
  await conversations.wake(id);
  const whole = { kind: 'increment', id: 'old', actor: 'alice', by: 2 } as const;
  for (let i = 0; i < 2; i++) await conversations.handle(id).signal(incrementUnread, whole);
  await waitUntil(async () => (await conversations.state(id)).pendingIncrements === 2, { what: 'the run has them' });
  await conversations.dispatcher.submit(messageSubmission(id, 'alice'));
  expect(await unread(id, 'bob')).toBe(3);
});

type Workflows = Parameters<typeof makeSubmitIncrement>[0]['workflows'];
type Direct = Parameters<typeof makeSubmitIncrement>[0]['direct'];

/** What the API does with an increment, with these workflows. */
function submitWith(
  workflows: Workflows = {
    increment: async (conversation, increment) => {
      await conversations.client.workflow.signalWithStart('conversation', {
        workflowId: `conversation/${conversation}`,
        taskQueue: conversations.taskQueue,
        args: [{ conversation, settings: conversations.settings }],
        signal: incrementUnread,
        signalArgs: [increment],
      });
    },
  },
  direct?: Direct,
): (
  conversation: string,
  command: Parameters<ReturnType<typeof makeSubmitIncrement>>[0]['command'],
) => Promise<object> {
  const { pool } = database();
  const log = pino({ level: 'silent' });
  const onRetry = (): void => undefined;
  const submit = makeSubmitIncrement({
    pool,
    workflows,
    pathOf: () => 'workflow',
    direct: direct ?? makeDirectExecutor({ pool, notifier: makeNotifier(pool, onRetry), log, onRetry }),
    onRetry,
    log,
  });
  return (conversation, command) =>
    submit({ conversation, command, deadline: Date.now() + 10_000, correlationId: randomUUID() });
}
