import { ApplicationFailure } from '@temporalio/common';
import { beforeEach, expect, test, vi } from 'vitest';
import type { IncrementCommand } from '../../../domain/command.ts';
import type { PackedOutcome } from '../../../domain/packed-outcome.ts';
import type { StagedCommand } from '../../../domain/staged-command.ts';
import { applyBatch } from '../../../workflows/conversation/batch.ts';
import type { UpdateResult } from '../../../workflows/conversation/messages.ts';
import type { ConversationRun } from '../../../workflows/conversation/run.ts';
import { someFacts, someRun } from '../../harness/conversation-run.ts';
import { resetSurroundings, surroundings } from '../../harness/fake-workflow.ts';

vi.mock('@temporalio/workflow', async (original) => ({
  ...(await original<object>()),
  ...(await import('../../harness/fake-workflow.ts')).workflowModule,
}));

beforeEach(resetSurroundings);

const { apply } = surroundings.activities;
const message = (id: string): StagedCommand => ({ kind: 'message', id, sha256: 'aa', body: 1, size: 1 });
const increment = (id: string): IncrementCommand => ({ kind: 'increment', id, actor: 'bob', by: 1 });
const accepted = (seq: number, count = 1): PackedOutcome => ({ status: 'run', count, seq, epoch: 3 });
const defect = (): Error => ApplicationFailure.create({ type: 'defect', message: 'no such function' });
const away = (): Error => ApplicationFailure.create({ type: 'away', message: 'connection refused' });

/** Queues an update. Its answer is a result, or the type of its failure. */
async function send(run: ConversationRun, ids: string[], request: string): Promise<UpdateResult | string | undefined> {
  try {
    return await run.mailbox.deliver({ operations: ids.map(message), requests: [request] });
  } catch (error) {
    if (!(error instanceof ApplicationFailure)) throw error;
    return `${error.type}: ${error.message}: ${JSON.stringify(error.details)}`;
  }
}

async function applied<T extends readonly unknown[]>(
  run: ConversationRun,
  answers: { [K in keyof T]: Promise<T[K]> },
): Promise<T> {
  await applyBatch(run);
  await vi.advanceTimersByTimeAsync(2);
  return await Promise.all(answers);
}

test('all that waits is one call, and every update gets the outcomes of its own commands', async () => {
  const { run } = someRun();
  run.increments.push(increment('i'));
  apply.mockResolvedValue({ facts: someFacts({ lastSeq: 20 }), outcomes: [accepted(18, 3), { status: 'accepted' }] });
  const answers = [send(run, ['a', 'b'], 'r1'), send(run, ['c'], 'r2')] as const;
  expect(await applied(run, [...answers])).toEqual([{ outcomes: [accepted(18, 2)] }, { outcomes: [accepted(20)] }]);
  expect(apply.mock.calls).toEqual([
    [
      {
        conversation: 'AAAA',
        operations: [...['a', 'b', 'c'].map(message), increment('i')],
        requests: ['r1', 'r2'],
        sizes: [2, 1],
        isFirst: true,
      },
    ],
  ]);
  expect(run).toMatchObject({ decided: 4, increments: [], healthy: true, facts: { lastSeq: 20 } });
  expect(surroundings.details).toHaveLength(1);
  expect(surroundings.depths).toEqual([]);
  expect(surroundings.logged).toEqual([]);
});

test('only the first batch of a run looks for what a run before did not count', async () => {
  const { run } = someRun();
  apply.mockResolvedValue({ facts: someFacts(), outcomes: [accepted(18)] });
  for (const id of ['a', 'b']) await applied(run, [send(run, [id], 'r')]);
  expect(apply.mock.calls.map(([{ isFirst }]) => isFirst)).toEqual([true, undefined]);
});

test('a batch takes the flush alarm away, and the run is idle only a while after it', async () => {
  const { run } = someRun({ idleMs: 1000 });
  run.increments.push(increment('i'));
  run.flush.set(Date.now());
  apply.mockResolvedValue({ facts: someFacts(), outcomes: [{ status: 'accepted' }] });
  await applyBatch(run);
  expect(run.flush).toMatchObject({ isSet: false, due: false });
  await vi.advanceTimersByTimeAsync(999);
  expect(run.idle.due).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(run.idle.due).toBe(true);
});

test('the depth is shown when the batch has been taken', async () => {
  const { run } = someRun();
  void send(run, ['a'], 'r');
  run.showDepth();
  apply.mockResolvedValue({ facts: someFacts(), outcomes: [accepted(1)] });
  await applyBatch(run);
  expect(surroundings.depths).toEqual([1, 0]);
});

test('a line for each batch is written only where the settings ask for it', async () => {
  const { run } = someRun({ logBatches: true });
  void send(run, ['a', 'b'], 'r1');
  run.increments.push(increment('i'));
  apply.mockResolvedValue({ facts: someFacts(), outcomes: [accepted(1, 2), { status: 'accepted' }] });
  await applyBatch(run);
  expect(surroundings.logged).toEqual([
    { level: 'debug', message: 'batch', fields: { correlationIds: ['r1'], operations: 2, increments: 1 } },
  ]);
});

test('while Postgres is away, updates end as retryable and increments are kept, in their order, for another try', async () => {
  const { run } = someRun();
  run.increments.push(increment('1'), increment('2'));
  apply.mockImplementation(() => {
    // It comes while the batch is under way.
    run.increments.push(increment('3'));
    return Promise.reject(away());
  });
  const answer = send(run, ['a'], 'r');
  expect(await applied(run, [answer])).toEqual(['infra: The decision is not known: ["connection refused"]']);
  expect(apply).toHaveBeenCalledTimes(1);
  expect(run).toMatchObject({ decided: 0, healthy: false });
  expect(run.increments.map(({ id }) => id)).toEqual(['1', '2', '3']);
  await vi.advanceTimersByTimeAsync(4990);
  expect(run.hasBatch()).toBe(false);
  await vi.advanceTimersByTimeAsync(10);
  expect(run.hasBatch()).toBe(true);
});

test('without increments, a failed batch leaves no alarm', async () => {
  const { run } = someRun();
  apply.mockRejectedValue(away());
  const answer = send(run, ['a'], 'r');
  await applied(run, [answer]);
  expect(run.flush.isSet).toBe(false);
});

test('one command that can never be applied fails alone: the others of its batch are decided one by one', async () => {
  const { run } = someRun();
  run.increments.push(increment('bad'), increment('good'));
  let seq = 0;
  apply.mockImplementation(({ operations }) => {
    if (operations.some(({ id }) => id === 'b' || id === 'bad')) return Promise.reject(defect());
    return Promise.resolve({ facts: someFacts(), outcomes: operations.map(() => accepted(++seq)) });
  });
  const answers = [send(run, ['a'], 'r1'), send(run, ['b'], 'r2'), send(run, ['c'], 'r3')] as const;
  expect(await applied(run, [...answers])).toEqual([
    { outcomes: [accepted(1)] },
    'defect: The decision is not known: ["no such function"]',
    { outcomes: [accepted(2)] },
  ]);
  expect(apply.mock.calls.map(([{ operations, requests }]) => [operations.map(({ id }) => id), requests])).toEqual([
    [
      ['a', 'b', 'c', 'bad', 'good'],
      ['r1', 'r2', 'r3'],
    ],
    [['a'], ['r1']],
    [['b'], ['r2']],
    [['c'], ['r3']],
    [['bad'], []],
    [['good'], []],
  ]);
  expect(run.decided).toBe(3);
  // Kept, the bad increment would fail every batch to come.
  expect(run.increments).toEqual([]);
  expect(run.flush.isSet).toBe(false);
  expect(surroundings.logged).toEqual([
    { level: 'error', message: 'defect', fields: { error: 'no such function', increments: 0 } },
    { level: 'error', message: 'defect', fields: { error: 'no such function', increments: 1 } },
  ]);
});

test('when Postgres goes away among single commands, their increments are kept', async () => {
  const { run } = someRun();
  run.increments.push(increment('1'));
  apply.mockRejectedValueOnce(defect()).mockRejectedValueOnce(away());
  await applyBatch(run);
  expect(run.increments.map(({ id }) => id)).toEqual(['1']);
  expect(run.flush.isSet).toBe(true);
  expect(run.healthy).toBe(false);
  expect(surroundings.logged).toEqual([]);
});

test('an error that is no failure of an activity is a fault of the workflow code and is thrown', async () => {
  const { run } = someRun();
  apply.mockRejectedValue(new TypeError('a bug'));
  await expect(applyBatch(run)).rejects.toThrow('a bug');
  apply.mockRejectedValueOnce(defect());
  run.increments.push(increment('1'));
  await expect(applyBatch(run)).rejects.toThrow('a bug');
});
