import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Draft } from '../../../dispatch/submission.ts';
import type { Batch, PathName } from '../../../dispatch/executor.ts';
import { type Lanes, makeLanes } from '../../../dispatch/dispatcher.ts';
import { MAX_RESERVATION_MS } from '../../../domain/limits.ts';
import type { Outcome } from '../../../domain/outcome.ts';
import { type Metrics, makeMetrics } from '../../../process/metrics.ts';
import { commitSubmission, messageSubmission } from '../../../tools/harness/submissions.ts';

// The lane alone: a path that defers every commit of some users once, and decides everything else at once.
const CONVERSATION = 'a-conversation';
const HOLD_MS = 200;
const MAILBOX_LIMIT = 100;

let batches: Batch[];
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
  readonly path?: PathName;
  readonly forMs?: number;
  /** Users whose commits meet a reservation. */
  readonly deferred?: readonly string[];
}

function lanesWith({ path = 'direct', forMs = HOLD_MS, deferred = ['bob'] }: Setup = {}): Lanes {
  let staged = 0;
  const owners = new Map<string, string>();
  const decide = (batch: Batch): Outcome[] =>
    batch.items.map(({ operation }, i) => {
      const { kind, id } = operation;
      const user = owners.get(id) ?? '';
      const waits = kind === 'commit' && deferred.includes(user) && operation.deferred === undefined;
      return waits ? { status: 'refused', code: 'deferred', forMs } : { status: 'accepted', seq: i + 1, epoch: 1 };
    });
  const apply = async (batch: Batch): Promise<{ outcomes: Outcome[]; retries: number }> => {
    batches.push(batch);
    // As long as a decision takes.
    // eslint-disable-next-line no-restricted-syntax -- fake timers
    await new Promise((resolve) => setTimeout(resolve, 1));
    return { outcomes: decide(batch), retries: 0 };
  };
  const lanes = makeLanes({
    pathOf: () => path,
    paths: { workflow: apply, direct: apply },
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
    ...lanes,
    submit: (draft) => {
      owners.set(draft.operation.id, draft.user);
      return lanes.submit(draft);
    },
  };
}

/** Ids of the operations in the order in which they were handed to the path. */
function handed(): string[] {
  return batches.flatMap(({ items }) => items.map(({ operation }) => operation.id));
}

function message(user: string): Draft {
  return messageSubmission(CONVERSATION, user);
}

function commit(user: string): Draft {
  return commitSubmission(CONVERSATION, user, 0);
}

test.each<PathName>(['direct', 'workflow'])(
  'a deferred commit is decided again after the reservation, with the same id and bytes, on the %s path',
  async (path) => {
    const lanes = lanesWith({ path });
    const draft = commit('bob');
    const outcome = lanes.submit(draft);
    await vi.advanceTimersByTimeAsync(HOLD_MS - 50);
    expect(batches).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(100);
    expect(await outcome).toMatchObject({ status: 'accepted' });
    const [first, second] = batches.flatMap(({ items }) => items);
    expect((first?.operation as CommitOperation).deferred).toBeUndefined();
    expect(second?.operation).toEqual({ ...first?.operation, deferred: true });
    expect(second?.bytes).toEqual(first?.bytes);
    // By reference the bytes stay staged, inline they come again.
    expect('body' in (second?.operation ?? {})).toBe(path === 'workflow');
    expect(new Set(batches.map(({ id }) => id)).size).toBe(2);
  },
);

test('others go on while a commit waits, and what its user sent after it stays behind it', async () => {
  const lanes = lanesWith();
  const drafts = {
    commit: commit('bob'),
    alice: message('alice'),
    bob1: message('bob'),
    carol: message('carol'),
    bob2: message('bob'),
    late: message('alice'),
  };
  const { late, ...early } = drafts;
  const outcomes = Object.values(early).map((draft) => lanes.submit(draft));
  await vi.advanceTimersByTimeAsync(50);
  outcomes.push(lanes.submit(late));
  await vi.advanceTimersByTimeAsync(50);
  const before: Draft[] = [drafts.commit, drafts.alice, drafts.carol, drafts.late];
  expect(handed()).toEqual(before.map(({ operation }) => operation.id));
  // Messages of the others shared a batch, as if nobody waited between them.
  expect(batches[1]?.items).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(HOLD_MS);
  const after: Draft[] = [...before, drafts.commit, drafts.bob1, drafts.bob2];
  expect(handed()).toEqual(after.map(({ operation }) => operation.id));
  for (const outcome of await Promise.all(outcomes)) expect(outcome.status).toBe('accepted');
});

test('a second commit of the same user waits behind the first, commits of others do not', async () => {
  const lanes = lanesWith();
  const [first, second, other] = [commit('bob'), commit('bob'), commit('alice')];
  const outcomes = [first, second, other].map((draft) => lanes.submit(draft));
  await vi.advanceTimersByTimeAsync(2 * HOLD_MS + 50);
  await Promise.all(outcomes);
  expect(handed()).toEqual([first, other, first, second, second].map(({ operation }) => operation.id));
});

test('who floods a lane with commits waits behind others, and each sender keeps its order', async () => {
  const lanes = lanesWith({ deferred: [] });
  const flood = Array.from({ length: 20 }, () => commit('mallory'));
  const said = message('mallory');
  const removal = commit('alice');
  const words = [message('bob'), message('bob')];
  const outcomes = [...flood, said, removal, ...words].map((draft) => lanes.submit(draft));
  await vi.advanceTimersByTimeAsync(100);
  await Promise.all(outcomes);
  const order = handed();
  const places = (drafts: readonly Draft[]): number[] => drafts.map(({ operation }) => order.indexOf(operation.id));
  // The first one was in flight already.
  expect(places([removal, ...words])).toEqual([1, 2, 3]);
  expect(places([...flood, said])).toEqual([0, ...Array.from({ length: 20 }, (_, i) => i + 4)]);
});

test.each([
  ['messages', message],
  ['commits', commit],
])('who fills its quarter of a lane with %s is refused, others find room', async (_, draftOf) => {
  const lanes = lanesWith({ deferred: [] });
  const codeOf = (user: string): Promise<string> =>
    lanes.submit(draftOf(user)).then(
      ({ status }) => status,
      (error: unknown) => (error as { code: string }).code,
    );
  const first = codeOf('mallory');
  const flood = Array.from({ length: MAILBOX_LIMIT }, () => codeOf('mallory'));
  const removal = lanes.submit(commit('alice'));
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
  'what was staged for a message that missed its deadline in the lane is deleted (while %j wait)',
  async (deferred) => {
    const lanes = lanesWith({ path: 'workflow', deferred });
    const first = lanes.submit(commit('bob'));
    const late = lanes.submit({ ...message('alice'), deadline: Date.now() }).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(0);
    expect(await late).toMatchObject({ code: 'deadline' });
    await vi.advanceTimersByTimeAsync(HOLD_MS + 10);
    expect(await first).toMatchObject({ status: 'accepted' });
    expect(discarded).toEqual([2]);
    expect([lanes.active(), lanes.depth()]).toEqual([0, 0]);
  },
);

test('what waits for its turn is not overtaken for ever by what never ends', async () => {
  const lanes = lanesWith({ deferred: [] });
  const mine = Array.from({ length: 3 }, () => commit('bob'));
  const outcomes = mine.map((draft) => lanes.submit(draft));
  for (let i = 0; i < 400; i++) {
    outcomes.push(lanes.submit(message('alice')));
    await vi.advanceTimersByTimeAsync(1);
  }
  await vi.advanceTimersByTimeAsync(10);
  await Promise.all(outcomes);
  const places = mine.map(({ operation }) => handed().indexOf(operation.id));
  expect(Math.max(...places)).toBeLessThan(300);
});

test('nobody waits longer than a reservation may last, whatever the answer says', async () => {
  const lanes = lanesWith({ forMs: 3_600_000 });
  const outcome = lanes.submit(commit('bob'));
  await vi.advanceTimersByTimeAsync(MAX_RESERVATION_MS + 10);
  expect(await outcome).toMatchObject({ status: 'accepted' });
});

test('a commit whose deadline passes while it waits is answered so, is not decided, and holds nobody up (invariant 11)', async () => {
  const lanes = lanesWith();
  const late = { ...commit('bob'), deadline: Date.now() + HOLD_MS / 2 };
  const answer = lanes.submit(late).catch((error: unknown) => error);
  const next = message('bob');
  const outcome = lanes.submit(next);
  await vi.advanceTimersByTimeAsync(HOLD_MS / 2 + 10);
  expect(await answer).toMatchObject({ code: 'deadline' });
  await vi.advanceTimersByTimeAsync(HOLD_MS);
  expect(await outcome).toMatchObject({ status: 'accepted' });
  expect(handed()).toEqual([late.operation.id, next.operation.id]);
});

test('a lane lives on while a commit waits in it, and ends after it', async () => {
  const lanes = lanesWith();
  const outcome = lanes.submit(commit('bob'));
  await vi.advanceTimersByTimeAsync(50);
  expect([lanes.active(), lanes.depth()]).toEqual([1, 1]);
  await vi.advanceTimersByTimeAsync(HOLD_MS);
  await outcome;
  expect([lanes.active(), lanes.depth()]).toEqual([0, 0]);
});

test('a commit that waited is counted as such, and as decided once', async () => {
  const lanes = lanesWith();
  const outcome = lanes.submit(commit('bob'));
  await vi.advanceTimersByTimeAsync(HOLD_MS + 50);
  await outcome;
  const text = await metrics.registry.metrics();
  expect(text).toContain('parley_commits_deferred_total{path="direct"} 1');
  expect(text).toContain('parley_operations_total{kind="commit",outcome="accepted",path="direct"} 1');
  expect(text).not.toContain('outcome="deferred"');
});
