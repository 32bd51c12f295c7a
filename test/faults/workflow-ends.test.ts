import type { Client, WorkflowHandle } from '@temporalio/client';
import { expect, test } from 'vitest';
import { conversationWorkflowId, shutdown } from '../../workflows/conversation/messages.ts';
import { startLoad } from '../../tools/chaos/load/load.ts';
import { judge } from '../../tools/chaos/verdict/verdict.ts';
import { resetRun } from '../../tools/harness/reset-run.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { print } from '../harness/print.ts';
import { startServiceOnDatabase } from '../harness/service.ts';
import { failedTries, useFaults } from './faults.ts';

const later = useFaults();
const EVERY_MS = 500;

type Blow = (client: Client, handle: WorkflowHandle) => Promise<unknown>;

const BLOWS: readonly (readonly [string, Blow])[] = [
  ['terminate', (_, handle) => handle.terminate('test')],
  ['shutdown', (_, handle) => handle.signal(shutdown, { reason: 'test' })],
  ['cancel', (_, handle) => handle.cancel()],
  [
    'delete',
    (client, { workflowId }) =>
      client.workflowService.deleteWorkflowExecution({ namespace: 'default', workflowExecution: { workflowId } }),
  ],
  ['reset', (client, { workflowId }) => resetRun(client, workflowId, (tasks) => tasks[below(tasks.length)])],
];

// Another test file runs on the same two cores. If the machine stalls, one request may miss its deadline.
test(
  'no request fails while every workflow is terminated, cancelled, deleted, reset or shut down twice a second; nothing is lost or doubled (invariants 1 to 3, 7)',
  { retry: 1 },
  async () => {
    const { service, database } = await startServiceOnDatabase(later, { apis: 2, workers: 1 });
    const size = { conversations: 3, users: 8, perSecond: 50, seed: 1, deadlineMs: 10_000 };
    const load = await startLoad({ ...size, urls: service.urls });
    const dealt = new Map<string, number>();
    const strike = async (): Promise<void> => {
      for (const conversation of load.ledger.books.keys()) {
        const [name, blow] = BLOWS[below(BLOWS.length)] ?? ['', () => Promise.reject(new Error('no blow'))];
        const handle = service.temporal.workflow.getHandle(conversationWorkflowId(conversation));
        // The previous blow may have ended the run. Then this one has no target.
        const hit = await blow(service.temporal, handle).then(
          () => true,
          () => false,
        );
        if (hit) dealt.set(name, (dealt.get(name) ?? 0) + 1);
      }
    };
    let isStriking = false;
    const timer = setInterval(() => {
      // On a busy machine a strike takes longer than the pause: overlapping ones would leave it no time for the requests.
      if (isStriking) return;
      isStriking = true;
      void strike().finally(() => (isStriking = false));
    }, EVERY_MS);
    later('timer', () => clearInterval(timer));
    later('load', () => load.tries.end());
    await waitUntil(() => BLOWS.every(([name]) => (dealt.get(name) ?? 0) >= 8) && load.tries.all.length > 500, {
      what: 'every blow was dealt eight times, and 500 requests were answered',
      timeoutMs: 180_000,
    });
    clearInterval(timer);
    await load.stop();
    print(`${JSON.stringify(Object.fromEntries(dealt))}: ${load.tries.all.length} requests`);
    expect(failedTries(load)).toEqual([]);
    expect((await judge(load, database.pool)).problems).toEqual([]);
  },
);

function below(limit: number): number {
  return Math.floor(Math.random() * limit);
}
