import { ApplicationFailure } from '@temporalio/common';
import { beforeEach, expect, test, vi } from 'vitest';
import { doDueWork, loadDueTimes } from '../../../workflows/conversation/timers.ts';
import { someFacts, someRun } from '../../harness/conversation-run.ts';
import { resetSurroundings, surroundings } from '../../harness/fake-workflow.ts';

vi.mock('@temporalio/workflow', async (original) => ({
  ...(await original<object>()),
  ...(await import('../../harness/fake-workflow.ts')).workflowModule,
}));

beforeEach(resetSurroundings);

const { load, retain } = surroundings.activities;
const away = (): Error => ApplicationFailure.create({ type: 'away' });

test('a run that starts without a command loads its due times and shows what it found', async () => {
  const { run } = someRun();
  load.mockResolvedValue(someFacts({ dueAt: Date.now() }));
  await loadDueTimes(run);
  expect(load).toHaveBeenCalledWith({ conversation: 'AAAA' });
  expect(run.retention.due).toBe(true);
  expect(surroundings.details).toHaveLength(1);
});

test('loading ends the doubt about the facts, and does not keep an idle run alive', async () => {
  const { run } = someRun();
  run.idle.set(Date.now());
  run.stale = true;
  load.mockResolvedValue(someFacts());
  await loadDueTimes(run);
  expect([run.stale, run.idle.due]).toEqual([false, true]);
});

test('due work is done with the time of the workflow, and the next due time is taken from its result', async () => {
  const { run } = someRun();
  run.retention.set(Date.now());
  retain.mockResolvedValue(someFacts({ dueAt: Date.now() + 100 }));
  await doDueWork(run);
  expect(retain).toHaveBeenCalledWith({ conversation: 'AAAA', now: Date.now() });
  expect(run.retention).toMatchObject({ isSet: true, due: false });
  await vi.advanceTimersByTimeAsync(100);
  expect(run.retention.due).toBe(true);
});

test('work that has nothing more to do leaves no alarm', async () => {
  const { run } = someRun();
  run.retention.set(Date.now());
  retain.mockResolvedValue(someFacts());
  await doDueWork(run);
  expect(run.retention).toMatchObject({ isSet: false, due: false });
});

test('when there is more to do at once, time moves before the next step', async () => {
  const { run } = someRun();
  retain.mockResolvedValue(someFacts({ dueAt: Date.now() }));
  await doDueWork(run);
  expect(run.retention.due).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(run.retention.due).toBe(true);
});

test.each([
  ['loading', load, loadDueTimes],
  ['due work', retain, doDueWork],
] as const)('%s is tried again after 5 s when Postgres is away', async (_, activity, step) => {
  const { run } = someRun();
  activity.mockRejectedValue(away());
  await step(run);
  expect(run.healthy).toBe(false);
  await vi.advanceTimersByTimeAsync(4999);
  expect(run.retention.due).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(run.retention.due).toBe(true);
});

test('a fault of the workflow code is thrown', async () => {
  const { run } = someRun();
  retain.mockRejectedValue(new TypeError('a bug'));
  await expect(doDueWork(run)).rejects.toThrow('a bug');
  expect(run.healthy).toBe(true);
});
