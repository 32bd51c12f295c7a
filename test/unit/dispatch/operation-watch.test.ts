import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import { makeDispatcher } from '../../../dispatch/dispatcher.ts';
import { OperationWatch } from '../../../dispatch/operation-watch.ts';
import type { LifeOperation } from '../../../domain/life-event.ts';
import { makeMetrics } from '../../../process/metrics.ts';
import { messageSubmission } from '../../../tools/harness/submissions.ts';

test('whoever watches a conversation sees its operations until the watch ends; what nobody watches is not told', async () => {
  const operations = new OperationWatch();
  const told = vi.spyOn(operations, 'tell');
  const dispatcher = makeDispatcher({
    pathOf: () => 'direct',
    operations,
    executors: {
      workflow: () => Promise.reject(new Error('No workflow runs here')),
      direct: ({ commands }) =>
        Promise.resolve({
          outcomes: commands.map((_, i) => ({ status: 'accepted', seq: i + 1, epoch: 2 })),
          retries: 0,
        }),
    },
    stager: { stage: () => Promise.resolve(1), discard: () => Promise.resolve() },
    metrics: makeMetrics({ collectDefaults: false }),
    log: pino({ level: 'silent' }),
    mailboxLimit: 10,
  });
  const send = (conversation: string): Promise<unknown> => dispatcher.submit(messageSubmission(conversation, 'alice'));

  await send('one');
  expect(told).not.toHaveBeenCalled();

  const seen: LifeOperation[] = [];
  const stop = operations.watch('one', (operation) => void seen.push(operation));
  await send('one');
  await send('other');
  expect(told).toHaveBeenCalledOnce();
  expect(seen).toMatchObject([
    { kind: 'message', path: 'direct', reason: 'setting', outcome: 'accepted', seq: 1, epoch: 2 },
  ]);
  // Nothing says who sent it.
  expect(Object.keys(seen[0] ?? {}).sort()).toEqual(
    ['at', 'epoch', 'kind', 'ms', 'operation', 'outcome', 'path', 'reason', 'seq', 'type'].sort(),
  );

  stop();
  await send('one');
  expect([told.mock.calls.length, operations.isWatched('one')]).toEqual([1, false]);
});
