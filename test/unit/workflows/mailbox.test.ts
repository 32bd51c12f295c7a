import { ApplicationFailure } from '@temporalio/common';
import { beforeEach, expect, test, vi } from 'vitest';
import { MAX_BATCH_BYTES } from '../../../domain/limits.ts';
import type { StagedCommand } from '../../../domain/staged-command.ts';
import { Mailbox, type PendingUpdate } from '../../../workflows/conversation/mailbox.ts';
import { resetSurroundings } from '../../harness/fake-workflow.ts';

vi.mock('@temporalio/workflow', async (original) => ({
  ...(await original<object>()),
  ...(await import('../../harness/fake-workflow.ts')).workflowModule,
}));

beforeEach(resetSurroundings);

const message = (id: string, size = 1): StagedCommand => ({ kind: 'message', id, sha256: 'aa', body: 1, size });
const messages = (id: string, count: number, size?: number): StagedCommand[] =>
  Array.from({ length: count }, (_, i) => message(`${id}${i}`, size));

/** Queues updates with these commands. */
function filled(...updates: StagedCommand[][]): { mailbox: Mailbox; answers: Promise<unknown>[] } {
  return fill(new Mailbox(true, () => undefined), updates);
}

function fill(
  mailbox: Mailbox,
  updates: readonly StagedCommand[][],
): { mailbox: Mailbox; answers: Promise<unknown>[] } {
  const answers = updates.map((operations, i) => mailbox.deliver({ operations, requests: [`request-${i}`] }));
  return { mailbox, answers };
}

const sizes = (taken: readonly PendingUpdate[]): number[] => taken.map(({ operations }) => operations.length);

test('updates wait in the order of their arrival, and the depth counts their commands', () => {
  const { mailbox } = filled([message('a'), message('b')], [message('c')]);
  expect(mailbox).toMatchObject({ depth: 3 });
  expect(mailbox.isEmpty()).toBe(false);
  const taken = mailbox.take();
  expect(taken.map(({ operations, requests }) => [operations.map(({ id }) => id), requests])).toEqual([
    [['a', 'b'], ['request-0']],
    [['c'], ['request-1']],
  ]);
  expect(mailbox.depth).toBe(0);
  expect(mailbox.isEmpty()).toBe(true);
  expect(mailbox.take()).toEqual([]);
});

test('a batch takes 1024 commands and leaves the rest for the next one', () => {
  const { mailbox } = filled(messages('a', 256), messages('b', 768), messages('c', 1), messages('d', 256));
  expect(sizes(mailbox.take())).toEqual([256, 768]);
  expect(mailbox.depth).toBe(257);
  expect(sizes(mailbox.take())).toEqual([1, 256]);
});

test('a batch takes as many bytes as the limit says, and at least one update however large', () => {
  const half = MAX_BATCH_BYTES / 2;
  const { mailbox } = filled(
    [message('a', half), message('b', half)],
    [message('c', 1)],
    [message('d', MAX_BATCH_BYTES + 1)],
  );
  expect(sizes(mailbox.take())).toEqual([2]);
  expect(sizes(mailbox.take())).toEqual([1]);
  expect(sizes(mailbox.take())).toEqual([1]);
  expect(mailbox.isEmpty()).toBe(true);
});

test('an update above the limit of commands goes alone', () => {
  const { mailbox } = filled(messages('a', 2000), [message('b')]);
  expect(sizes(mailbox.take())).toEqual([2000]);
  expect(mailbox.depth).toBe(1);
});

test('commands without bytes count nothing against the bytes', () => {
  const read = (id: string): StagedCommand => ({ kind: 'read', id, actor: 'bob' });
  const { mailbox } = filled([message('a', MAX_BATCH_BYTES)], [read('b')], [read('c')]);
  expect(sizes(mailbox.take())).toEqual([1, 1, 1]);
});

test('whoever waits for updates is told of each', () => {
  let arrived = 0;
  fill(new Mailbox(true, () => arrived++), [[message('a')], [message('b')]]);
  expect(arrived).toBe(2);
});

test.each([
  ['by a promise', true],
  ['by a condition, in runs of older code', false],
])('each update gets its own answer when there is one, and a failure is thrown: %s', async (_, plainPromises) => {
  const mailbox = new Mailbox(plainPromises, () => undefined);
  const { answers } = fill(mailbox, [[message('a')], [message('b')]]);
  const [first, second] = mailbox.take();
  if (first === undefined || second === undefined) throw new Error('nothing was taken');
  const settled: string[] = [];
  void answers[0]?.then(() => settled.push('first'));
  await vi.advanceTimersByTimeAsync(10);
  expect(settled).toEqual([]);
  const result = { outcomes: [{ status: 'run' as const, count: 1, seq: 1, epoch: 0 }] };
  first.answer(result);
  second.answer(ApplicationFailure.create({ type: 'infra' }));
  const failure = expect(answers[1]).rejects.toMatchObject({ type: 'infra' });
  await vi.advanceTimersByTimeAsync(10);
  await expect(answers[0]).resolves.toBe(result);
  expect(settled).toEqual(['first']);
  await failure;
});
