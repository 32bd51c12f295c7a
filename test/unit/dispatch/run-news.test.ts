import type { Client } from '@temporalio/client';
import { expect, test } from 'vitest';
import { makeRunNews } from '../../../dispatch/run-news.ts';
import type { LookForNews } from '../../../domain/life-event.ts';

interface FakeRun {
  /** Events of the history. */
  events: number;
  /** So many are written between the description and the reading. */
  burst: number;
}

/** Looks at a run on a server that gives whole batches, each of three events: a page of so many batches has more events. */
function watch(run: FakeRun): LookForNews {
  const describe = (): unknown => ({
    runId: 'run',
    status: { name: 'RUNNING' },
    historyLength: run.events,
    startTime: new Date(0),
    raw: {},
  });
  const newest = ({ maximumPageSize }: { readonly maximumPageSize: number }): unknown => {
    run.events += run.burst;
    run.burst = 0;
    const count = Math.min(maximumPageSize * 3, run.events);
    return { history: { events: Array.from({ length: count }, (_, i) => ({ eventId: run.events - i })) } };
  };
  const client = {
    options: { namespace: 'default' },
    withDeadline: (_: number, look: () => Promise<unknown>) => look(),
    workflow: { getHandle: () => ({ describe: () => Promise.resolve(describe()) }) },
    workflowService: {
      getWorkflowExecutionHistory: () => Promise.resolve({ history: { events: [{}] } }),
      getWorkflowExecutionHistoryReverse: (asked: { readonly maximumPageSize: number }) =>
        Promise.resolve(newest(asked)),
    },
  } as unknown as Client;
  return makeRunNews({ client, uiUrl: undefined })('c');
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

async function idsOf(look: LookForNews): Promise<number[]> {
  return (await look()).flatMap((one) => (one.type === 'history' ? [one.eventId] : []));
}

test('what happens between the description of a run and the reading of its history leaves no gap', async () => {
  const run: FakeRun = { events: 3, burst: 0 };
  const look = watch(run);
  expect(await idsOf(look)).toEqual([1, 2, 3]);
  Object.assign(run, { events: 4, burst: 30 });
  expect(await idsOf(look)).toEqual(range(4, 34));
});

test('of very many events the newest are told', async () => {
  const run: FakeRun = { events: 100, burst: 0 };
  const look = watch(run);
  expect(await idsOf(look)).toEqual(range(51, 100));
  Object.assign(run, { events: 220, burst: 0 });
  expect(await idsOf(look)).toEqual(range(171, 220));
  expect(await idsOf(look)).toEqual([]);
});
