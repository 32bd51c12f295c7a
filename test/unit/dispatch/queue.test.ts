import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Dispatcher, makeDispatcher } from '../../../dispatch/dispatcher.ts';
import type { Applied, Batch, ExecutionPath } from '../../../dispatch/executor.ts';
import type { Submission } from '../../../dispatch/submission.ts';
import type { Command } from '../../../domain/command.ts';
import type { StagedCommand } from '../../../domain/staged-command.ts';
import { MAX_RESERVATION_MS } from '../../../domain/limits.ts';
import type { Outcome } from '../../../domain/outcome.ts';
import { type Metrics, makeMetrics } from '../../../process/metrics.ts';
import { commitSubmission, messageSubmission } from '../../../tools/harness/submissions.ts';

// The queue alone: an executor that makes every commit of some users wait once, and decides everything else at once.
const CONVERSATION = 'a-conversation';
const HOLD_MS = 200;
const MAILBOX_LIMIT = 100;

type AnyBatch = Batch<Command | StagedCommand>;
let batches: AnyBatch[];
/** Keys of staged rows. */
let discarded: number[];
let metrics: Metrics;

beforeEach(() => {
  vi.useFakeTimers();
  batches = [];
  discarded = [];
  metrics = makeMetrics({ collectDefaults: false });
});
afterEach(() => {
  vi.useRealTimers();
});

interface Setup {
  readonly path?: ExecutionPath;
  readonly forMs?: number;
  /** Users whose commits meet a reservation. */
  readonly deferred?: readonly string[];
}

function dispatcherWith({ path = 'direct', forMs = HOLD_MS, deferred = ['bob'] }: Setup = {}): Dispatcher {
  let staged = 0;
  const owners = new Map<string, string>();
  const decide = (batch: AnyBatch): Outcome[] =>
    batch.commands.map((command, i) => {
      const { kind, id } = command;
      const user = owners.get(id) ?? '';
      const waits = kind === 'commit' && deferred.includes(user) && !hasWaited(command);
      return waits ? { status: 'refused', code: 'deferred', forMs } : { status: 'accepted', seq: i + 1, epoch: 1 };
    });
  const apply = async (batch: AnyBatch): Promise<Applied> => {
    batches.push(batch);
    // As long as a decision takes.
    // eslint-disable-next-line no-restricted-syntax -- fake timers
    await new Promise((resolve) => setTimeout(resolve, 1));
    return { outcomes: decide(batch), retries: 0 };
  };
  const dispatcher = makeDispatcher({
    pathOf: () => path,
    executors: { workflow: apply, direct: apply },
    stager: {
      stage: () => Promise.resolve(++staged),
      discard: (keys) => {
        discarded.push(...keys);
        return Promise.resolve();
      },
    },
    metrics,
    log: pino({ level: 'silent' }),
    mailboxLimit: MAILBOX_LIMIT,
  });
  return {
    ...dispatcher,
    submit: (submission) => {
      owners.set(submission.command.id, submission.command.actor);
      return dispatcher.submit(submission);
    },
  };
}

/** A commit that has waited for a reservation says so, in either form. */
function hasWaited(command: Command | StagedCommand): boolean {
  return 'waitedForReservation' in command || 'deferred' in command;
}

/** Ids of the commands in the order in which they were handed to the executor. */
function handed(): string[] {
  return batches.flatMap(({ commands }) => commands.map(({ id }) => id));
}

function message(user: string): Submission {
  return messageSubmission(CONVERSATION, user);
}

function commit(user: string): Submission {
  return commitSubmission(CONVERSATION, user, 0);
}

test.each<ExecutionPath>(['direct', 'workflow'])(
  'a deferred commit is decided again after the reservation, with the same id and bytes, on the %s path',
  async (path) => {
    const dispatcher = dispatcherWith({ path });
    const submission = commit('bob');
    const outcome = dispatcher.submit(submission);
    await vi.advanceTimersByTimeAsync(HOLD_MS - 50);
    expect(batches).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(100);
    expect(await outcome).toMatchObject({ status: 'accepted' });
    const [first, second] = batches.flatMap(({ commands }) => commands);
    if (first === undefined || second === undefined) throw new Error('It was not decided twice');
    expect(hasWaited(first)).toBe(false);
    const mark = path === 'workflow' ? { deferred: true } : { waitedForReservation: true };
    expect(second).toEqual({ ...first, ...mark });
    // By reference the bytes stay staged, inline they come again.
    expect('body' in second).toBe(path === 'workflow');
    expect('bytes' in second).toBe(path === 'direct');
    expect(new Set(batches.map(({ id }) => id)).size).toBe(2);
  },
);

test('others go on while a commit waits, and what its user sent after it stays behind it', async () => {
  const dispatcher = dispatcherWith();
  const sent = {
    commit: commit('bob'),
    alice: message('alice'),
    bob1: message('bob'),
    carol: message('carol'),
    bob2: message('bob'),
    late: message('alice'),
  };
  const { late, ...early } = sent;
  const outcomes = Object.values(early).map((submission) => dispatcher.submit(submission));
  await vi.advanceTimersByTimeAsync(50);
  outcomes.push(dispatcher.submit(late));
  await vi.advanceTimersByTimeAsync(50);
  const before: Submission[] = [sent.commit, sent.alice, sent.carol, sent.late];
  expect(handed()).toEqual(before.map(({ command }) => command.id));
  // Messages of the others shared a batch, as if nobody waited between them.
  expect(batches[1]?.commands).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(HOLD_MS);
  const after: Submission[] = [...before, sent.commit, sent.bob1, sent.bob2];
  expect(handed()).toEqual(after.map(({ command }) => command.id));
  for (const outcome of await Promise.all(outcomes)) expect(outcome.status).toBe('accepted');
});

test('a second commit of the same user waits behind the first, commits of others do not', async () => {
  const dispatcher = dispatcherWith();
  const [first, second, other] = [commit('bob'), commit('bob'), commit('alice')];
  const outcomes = [first, second, other].map((submission) => dispatcher.submit(submission));
  await vi.advanceTimersByTimeAsync(2 * HOLD_MS + 50);
  await Promise.all(outcomes);
  expect(handed()).toEqual([first, other, first, second, second].map(({ command }) => command.id));
});

test('who floods a queue with commits waits behind others, and each sender keeps its order', async () => {
  const dispatcher = dispatcherWith({ deferred: [] });
  const flood = Array.from({ length: 20 }, () => commit('mallory'));
  const said = message('mallory');
  const removal = commit('alice');
  const words = [message('bob'), message('bob')];
  const outcomes = [...flood, said, removal, ...words].map((submission) => dispatcher.submit(submission));
  await vi.advanceTimersByTimeAsync(100);
  await Promise.all(outcomes);
  const order = handed();
  const places = (submissions: readonly Submission[]): number[] =>
    submissions.map(({ command }) => order.indexOf(command.id));
  // The first one was in flight already.
  expect(places([removal, ...words])).toEqual([1, 2, 3]);
  expect(places([...flood, said])).toEqual([0, ...Array.from({ length: 20 }, (_, i) => i + 4)]);
});

test.each([
  ['messages', message],
  ['commits', commit],
])('who fills its quarter of a queue with %s is refused, others find room', async (_, submissionOf) => {
  const dispatcher = dispatcherWith({ deferred: [] });
  const codeOf = (user: string): Promise<string> =>
    dispatcher.submit(submissionOf(user)).then(
      ({ status }) => status,
      (error: unknown) => (error as { code: string }).code,
    );
  const first = codeOf('mallory');
  const flood = Array.from({ length: MAILBOX_LIMIT }, () => codeOf('mallory'));
  const removal = dispatcher.submit(commit('alice'));
  await vi.advanceTimersByTimeAsync(100);
  expect(await removal).toMatchObject({ status: 'accepted' });
  expect(await first).toBe('accepted');
  const codes = await Promise.all(flood);
  expect(codes.filter((code) => code === 'accepted')).toHaveLength(MAILBOX_LIMIT / 4);
  expect(codes.filter((code) => code === 'overloaded')).toHaveLength((MAILBOX_LIMIT * 3) / 4);
  // There is room again.
  const again = codeOf('mallory');
  await vi.advanceTimersByTimeAsync(100);
  expect(await again).toBe('accepted');
});

test.each([[[]], [['bob']]])(
  'what was staged for a message that missed its deadline in the queue is deleted (while %j wait)',
  async (deferred) => {
    const dispatcher = dispatcherWith({ path: 'workflow', deferred });
    const first = dispatcher.submit(commit('bob'));
    const late = dispatcher.submit({ ...message('alice'), deadline: Date.now() }).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(0);
    expect(await late).toMatchObject({ code: 'deadline' });
    await vi.advanceTimersByTimeAsync(HOLD_MS + 10);
    expect(await first).toMatchObject({ status: 'accepted' });
    expect(discarded).toEqual([2]);
    expect([dispatcher.active(), dispatcher.depth()]).toEqual([0, 0]);
  },
);

test('what waits for its turn is not overtaken for ever by what never ends', async () => {
  const dispatcher = dispatcherWith({ deferred: [] });
  const mine = Array.from({ length: 3 }, () => commit('bob'));
  const outcomes = mine.map((submission) => dispatcher.submit(submission));
  for (let i = 0; i < 400; i++) {
    outcomes.push(dispatcher.submit(message('alice')));
    await vi.advanceTimersByTimeAsync(1);
  }
  await vi.advanceTimersByTimeAsync(10);
  await Promise.all(outcomes);
  const places = mine.map(({ command }) => handed().indexOf(command.id));
  expect(Math.max(...places)).toBeLessThan(300);
});

test('nobody waits longer than a reservation may last, whatever the answer says', async () => {
  const dispatcher = dispatcherWith({ forMs: 3_600_000 });
  const outcome = dispatcher.submit(commit('bob'));
  await vi.advanceTimersByTimeAsync(MAX_RESERVATION_MS + 10);
  expect(await outcome).toMatchObject({ status: 'accepted' });
});

test('a commit whose deadline passes while it waits is answered so, is not decided, and holds nobody up (invariant 11)', async () => {
  const dispatcher = dispatcherWith();
  const late = { ...commit('bob'), deadline: Date.now() + HOLD_MS / 2 };
  const answer = dispatcher.submit(late).catch((error: unknown) => error);
  const next = message('bob');
  const outcome = dispatcher.submit(next);
  await vi.advanceTimersByTimeAsync(HOLD_MS / 2 + 10);
  expect(await answer).toMatchObject({ code: 'deadline' });
  await vi.advanceTimersByTimeAsync(HOLD_MS);
  expect(await outcome).toMatchObject({ status: 'accepted' });
  expect(handed()).toEqual([late.command.id, next.command.id]);
});

test('a queue lives on while a commit waits in it, and ends after it', async () => {
  const dispatcher = dispatcherWith();
  const outcome = dispatcher.submit(commit('bob'));
  await vi.advanceTimersByTimeAsync(50);
  expect([dispatcher.active(), dispatcher.depth()]).toEqual([1, 1]);
  await vi.advanceTimersByTimeAsync(HOLD_MS);
  await outcome;
  expect([dispatcher.active(), dispatcher.depth()]).toEqual([0, 0]);
});

test('a commit that waited is counted as such, and as decided once', async () => {
  const dispatcher = dispatcherWith();
  const outcome = dispatcher.submit(commit('bob'));
  await vi.advanceTimersByTimeAsync(HOLD_MS + 50);
  await outcome;
  const text = await metrics.registry.metrics();
  expect(text).toContain('parley_commits_deferred_total{path="direct"} 1');
  expect(text).toContain('parley_operations_total{kind="commit",outcome="accepted",path="direct"} 1');
  expect(text).not.toContain('outcome="deferred"');
});

test('the age of the oldest command is of those that still wait for an answer', async () => {
  const dispatcher = dispatcherWith();
  expect(dispatcher.oldestMs()).toBe(0);
  const late = { ...commit('bob'), deadline: Date.now() + HOLD_MS / 2 };
  const answer = dispatcher.submit(late).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(HOLD_MS / 4);
  expect(dispatcher.oldestMs()).toBeCloseTo(HOLD_MS / 4, 0);
  await vi.advanceTimersByTimeAsync(HOLD_MS / 4 + 10);
  expect(await answer).toMatchObject({ code: 'deadline' });
  // It is still in the queue, and nobody waits for it.
  expect([dispatcher.depth(), dispatcher.oldestMs()]).toEqual([1, 0]);
});
