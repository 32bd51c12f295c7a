import { beforeEach, describe, expect, test, vi } from 'vitest';
import { type EndReason, endReason, settle } from '../../../workflows/conversation/ending.ts';
import type { ConversationRun } from '../../../workflows/conversation/run.ts';
import { someFacts, someRun } from '../../harness/conversation-run.ts';
import { resetSurroundings, surroundings } from '../../harness/fake-workflow.ts';

vi.mock('@temporalio/workflow', async (original) => ({
  ...(await original<object>()),
  ...(await import('../../harness/fake-workflow.ts')).workflowModule,
}));

beforeEach(resetSurroundings);

const increment = { kind: 'increment', id: 'i', actor: 'bob', by: 1 } as const;
const queue = (run: ConversationRun): void =>
  void run.mailbox.deliver({ operations: [increment], requests: [] }).catch(() => undefined);
const MB = 1024 * 1024;

/** What changes the end of a run that is old enough and has nothing to do. */
interface Given {
  readonly events?: number;
  readonly bytes?: number;
  readonly suggested?: boolean;
  readonly queued?: boolean;
  readonly age?: number;
  readonly decided?: number;
  readonly found?: boolean;
  readonly dueAt?: number;
  readonly idle?: boolean;
  readonly shutdown?: boolean;
}

test.each<[string, Given, EndReason | undefined]>([
  ['with nothing to do', {}, undefined],
  ['that is idle', { idle: true }, 'idle'],
  ['that is idle with an update in its queue', { idle: true, queued: true }, undefined],
  ['that was asked to shut down', { shutdown: true }, 'shutdown'],
  [
    'that was asked to shut down with an update in its queue',
    { shutdown: true, queued: true, events: 900 },
    'shutdown',
  ],
  ['with 300 events', { events: 300 }, undefined],
  ['with more than 300 events', { events: 301 }, 'continue'],
  ['with more than 300 events and an update in its queue', { events: 301, queued: true }, undefined],
  ['with more than 300 events that is young', { events: 301, age: 4999 }, undefined],
  ['with more than 300 events that is just old enough', { events: 301, age: 5000 }, 'continue'],
  ['with 800 events and an update in its queue', { events: 800, queued: true }, undefined],
  ['with more than 800 events, whatever waits and however young', { events: 801, queued: true, age: 0 }, 'continue'],
  ['with 8 MB of history', { bytes: 8 * MB, queued: true, age: 0 }, undefined],
  ['with more than 8 MB of history', { bytes: 8 * MB + 1, queued: true, age: 0 }, 'continue'],
  ['that the server asks to continue', { suggested: true }, 'continue'],
  ['that the server asks to continue and that is young', { suggested: true, age: 1 }, undefined],
  ['that decided as many commands as a test allows', { decided: 7 }, 'continue'],
  ['that decided one command fewer', { decided: 6 }, undefined],
  ['that decided so many and is young', { decided: 7, age: 1 }, undefined],
  ['of a conversation that was deleted', { found: false, decided: 1 }, 'deleted'],
  ['of a conversation that never was', { found: false }, 'not-found'],
  ['of a deleted conversation whose remains are due later', { found: false, decided: 1, dueAt: 9e9 }, undefined],
  ['of a conversation that is there', { found: true, decided: 1 }, undefined],
])('a run %s: %o ends as %s', (_, given, reason) => {
  const { events = 0, bytes = 0, suggested = false, queued = false, age = 60_000, decided = 0, found, dueAt } = given;
  const { run } = someRun({ continueAfter: 7, minimumRunMs: 5000 });
  vi.setSystemTime(Date.now() + age);
  surroundings.info = {
    ...surroundings.info,
    historyLength: events,
    historySize: bytes,
    continueAsNewSuggested: suggested,
  };
  if (queued) queue(run);
  run.decided = decided;
  if (found !== undefined) run.learn(someFacts({ found, ...(dueAt === undefined ? {} : { dueAt }) }));
  if (given.idle === true) run.idle.set(Date.now());
  if (given.shutdown === true) run.shutdownReason = '';
  expect(endReason(run)).toBe(reason);
});

test('without a number from a test, no number of decided commands ends a run', () => {
  const { run } = someRun();
  vi.setSystemTime(Date.now() + 60_000);
  run.decided = 1_000_000;
  expect(endReason(run)).toBeUndefined();
});

describe('before its end a run', () => {
  const { apply } = surroundings.activities;
  const decide = (): void =>
    void apply.mockImplementation(({ operations }) =>
      Promise.resolve({ facts: someFacts(), outcomes: operations.map(() => ({ status: 'accepted' })) }),
    );

  test('applies everything that waits and refuses new work', async () => {
    decide();
    const { run } = someRun();
    queue(run);
    run.increments.push(increment);
    await expect(settle(run, 'idle')).resolves.toBe(true);
    expect(run.closing).toBe(true);
    expect(run.increments).toEqual([]);
    expect(run.mailbox.isEmpty()).toBe(true);
  });

  test('applies increments that wait alone, unless the next run takes them along', async () => {
    decide();
    const { run } = someRun();
    run.increments.push(increment);
    await expect(settle(run, 'continue')).resolves.toBe(true);
    expect(apply).not.toHaveBeenCalled();
    expect(run.increments).toEqual([increment]);
    await expect(settle(run, 'shutdown')).resolves.toBe(true);
    expect(apply).toHaveBeenCalledTimes(1);
    await expect(settle(run, 'shutdown')).resolves.toBe(true);
    expect(apply).toHaveBeenCalledTimes(1);
  });

  test('applies one batch after another until nothing waits, also before it continues as new', async () => {
    decide();
    const { run } = someRun();
    const large = Array.from({ length: 1024 }, () => increment);
    for (let i = 0; i < 3; i++) void run.mailbox.deliver({ operations: large, requests: [] });
    await expect(settle(run, 'continue')).resolves.toBe(true);
    expect(apply).toHaveBeenCalledTimes(3);
    expect(run.decided).toBe(3 * 1024);
  });

  test('lets its handlers answer, and goes on when an update came meanwhile', async () => {
    surroundings.handlersFinished = false;
    const { run } = someRun();
    const settled = settle(run, 'idle');
    await vi.advanceTimersByTimeAsync(5);
    expect(run.closing).toBe(true);
    queue(run);
    surroundings.handlersFinished = true;
    await vi.advanceTimersByTimeAsync(5);
    await expect(settled).resolves.toBe(false);
    expect(run.closing).toBe(false);
  });

  test.each([
    ['idle', false],
    ['continue', true],
  ] as const)('that ends as %s and gets an increment meanwhile, ends: %s', async (reason, ends) => {
    surroundings.handlersFinished = false;
    const { run } = someRun();
    const settled = settle(run, reason);
    await vi.advanceTimersByTimeAsync(5);
    run.increments.push(increment);
    surroundings.handlersFinished = true;
    await vi.advanceTimersByTimeAsync(5);
    await expect(settled).resolves.toBe(ends);
    expect(run.closing).toBe(ends);
  });
});
