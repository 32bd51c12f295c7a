import { ApplicationFailure } from '@temporalio/common';
import { beforeEach, expect, test, vi } from 'vitest';
import { ConversationRun } from '../../../workflows/conversation/run.ts';
import { someFacts, someRun } from '../../harness/conversation-run.ts';
import { resetSurroundings, surroundings } from '../../harness/fake-workflow.ts';

vi.mock('@temporalio/workflow', async (original) => ({
  ...(await original<object>()),
  ...(await import('../../harness/fake-workflow.ts')).workflowModule,
}));

beforeEach(resetSurroundings);

const away = (): ApplicationFailure =>
  ApplicationFailure.create({ type: 'away', message: 'The database answered 57P01' });

const increment = (id: string): { kind: 'increment'; id: string; actor: string; by: number } => ({
  kind: 'increment',
  id,
  actor: 'bob',
  by: 1,
});

test('a run begins with nothing but what the run before left', () => {
  const left = [increment('a')];
  const run = new ConversationRun({ ...someRun().input, increments: left });
  expect(run.increments).toEqual(left);
  expect(run.increments).not.toBe(left);
  expect(someRun().run.increments).toEqual([]);
  expect(run.state()).toStrictEqual({
    conversation: 'AAAA',
    health: 'healthy',
    queued: 0,
    pendingIncrements: 1,
    decided: 0,
    closing: false,
  });
  expect(run.startedAt).toBe(Date.now());
  expect(run.hasWork()).toBe(false);
});

test.each([true, false])('whether handlers only queue is asked of the history: %s', (isPatched) => {
  surroundings.isPatched = isPatched;
  expect(someRun().run.handlersOnlyQueue).toBe(isPatched);
});

test('waiting increments set one flush alarm, which makes a batch when its time has come', async () => {
  const { run } = someRun({ flushMs: 500 });
  run.setFlushAlarm();
  expect(run.flush.isSet).toBe(false);
  run.increments.push(increment('a'));
  expect(run.needsFlushAlarm()).toBe(true);
  run.setFlushAlarm();
  expect(run.needsFlushAlarm()).toBe(false);
  await vi.advanceTimersByTimeAsync(400);
  // Another increment does not postpone the flush.
  run.increments.push(increment('b'));
  run.setFlushAlarm();
  expect(run.hasBatch()).toBe(false);
  await vi.advanceTimersByTimeAsync(100);
  expect(run.hasBatch()).toBe(true);
  expect(run.hasWork()).toBe(true);
});

test.each([true, false])(
  'a run that waits goes on when something comes for it; plain promises: %s',
  async (isPatched) => {
    surroundings.isPatched = isPatched;
    const { run } = someRun();
    const steps: string[] = [];
    const step = async (name: string, holds: () => boolean, make: () => unknown): Promise<void> => {
      const waits = run.until(holds).then(() => steps.push(name));
      await vi.advanceTimersByTimeAsync(2);
      expect(steps).not.toContain(name);
      make();
      await vi.advanceTimersByTimeAsync(2);
      await waits;
    };
    await step(
      'update',
      () => !run.mailbox.isEmpty(),
      () => void run.mailbox.deliver({ operations: [], requests: [] }),
    );
    await step(
      'refresh',
      () => run.stale,
      () => run.refresh(),
    );
    await step(
      'shutdown',
      () => run.shutdownReason === 'x',
      () => run.shutDown('x'),
    );
    await step(
      'alarm',
      () => run.idle.due,
      () => run.idle.set(Date.now() + 1),
    );
    await run.until(() => true);
    expect(steps).toEqual(['update', 'refresh', 'shutdown', 'alarm']);
  },
);

test('an update in the mailbox is a batch, and due retention is work without a batch', () => {
  const { run } = someRun();
  run.retention.set(Date.now());
  expect([run.hasBatch(), run.hasWork()]).toEqual([false, true]);
  run.retention.clear();
  void run.mailbox.deliver({ operations: [increment('a')], requests: [] });
  expect([run.hasBatch(), run.hasWork()]).toEqual([true, true]);
});

test('facts replace the old ones, heal the run, and set or clear the timer for due work', async () => {
  const { run } = someRun();
  run.failed(away());
  run.learn(someFacts({ dueAt: Date.now() + 100 }));
  expect(run.state()).toMatchObject({ health: 'healthy', facts: { epoch: 3 } });
  await vi.advanceTimersByTimeAsync(100);
  expect(run.retention.due).toBe(true);
  run.learn(someFacts({ epoch: 4 }));
  expect(run.retention).toMatchObject({ isSet: false, due: false });
  expect(run.facts?.epoch).toBe(4);
});

test('the state says when its facts were true', async () => {
  const { run } = someRun();
  expect(run.state()).not.toHaveProperty('asOf');
  run.learn(someFacts());
  await vi.advanceTimersByTimeAsync(5000);
  expect(run.state().asOf).toBe('1970-01-01T00:16:40.000Z');
});

test('a run that is told that it may be stale has work, until it has loaded its facts', () => {
  const { run } = someRun();
  run.stale = true;
  expect([run.hasBatch(), run.hasWork()]).toEqual([false, true]);
  run.stale = false;
  expect(run.hasWork()).toBe(false);
});

test('the worker is told the depth of the mailbox only when it has changed', () => {
  const { run } = someRun();
  run.showDepth();
  expect(surroundings.depths).toEqual([]);
  void run.mailbox.deliver({ operations: [increment('a'), increment('b')], requests: [] });
  run.showDepth();
  run.showDepth();
  run.mailbox.take();
  run.showDepth();
  expect(surroundings.depths).toEqual([2, 0]);
});
