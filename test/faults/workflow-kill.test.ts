import type { Client, WorkflowHandle } from '@temporalio/client';
import { expect, test } from 'vitest';
import { conversationWorkflowId, shutdown } from '../../workflows/conversation/messages.ts';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { resetRun } from '../../tools/harness/reset-run.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { print } from '../harness/print.ts';
import { startServiceOnDatabase } from '../harness/service.ts';
import { useFaults } from './faults.ts';
import { pick } from './pick.ts';
import { expectNothingLost } from './verdict.ts';
import { EVERYTHING, countFailures, startLoad } from './load.ts';

const later = useFaults();
const EVERY_MS = 500;

type Blow = (client: Client, handle: WorkflowHandle) => Promise<unknown>;

const BLOWS: Readonly<Record<string, Blow>> = {
  terminate: (_, handle) => handle.terminate('test'),
  shutdown: (_, handle) => handle.signal(shutdown, { reason: 'test' }),
  cancel: (_, handle) => handle.cancel(),
  delete: (client, { workflowId }) =>
    client.workflowService.deleteWorkflowExecution({ namespace: 'default', workflowExecution: { workflowId } }),
  reset: (client, { workflowId }) => resetRun(client, workflowId, pick),
};

// A terminated or deleted run may lose increments that it has not applied, as documented. The other ends keep them.
const GENTLE = new Set(['shutdown', 'cancel', 'reset']);

for (const [title, blows] of [
  [
    'no request fails while every workflow gets terminate, delete, reset or shutdown twice a second',
    ['terminate', 'delete', 'reset', 'shutdown'],
  ],
  [
    'no request fails, and increments are exact, under shutdown, cancellation and reset twice a second',
    ['shutdown', 'cancel', 'reset'],
  ],
] as const) {
  // Another test file runs on the same two cores. If the machine stalls, one request may miss its deadline.
  test(`${title}; nothing is lost or doubled (invariants 1 to 3, 7)`, { retry: 1 }, async () => {
    const { service, database } = await startServiceOnDatabase(later, {
      apis: 2,
      workers: 1,
      env: { CONVERSATION_PATH: 'workflow' },
    });
    const client = service.temporal;
    const kinds = EVERYTHING.filter((kind) => kind !== 'increment' || blows.every((blow) => GENTLE.has(blow)));
    const load = await startLoad({
      urls: service.urls,
      token: service.token,
      conversations: 3,
      users: 8,
      kinds,
      retries: false,
    });

    const dealt: Record<string, number> = {};
    let done = false;
    const strike = async (): Promise<void> => {
      for (const conversation of load.ledger.conversations()) {
        const blow = pick(blows);
        const handle = client.workflow.getHandle(conversationWorkflowId(conversation));
        // The previous blow may have ended the run. Then this one has no target.
        const hit = await BLOWS[blow]?.(client, handle).then(
          () => true,
          () => false,
        );
        if (hit === true) dealt[blow] = (dealt[blow] ?? 0) + 1;
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
    await waitUntil(
      () => {
        done ||= blows.every((blow) => (dealt[blow] ?? 0) >= 8) && load.successes.length > 500;
        return done;
      },
      { what: 'every blow was dealt eight times, and 500 requests succeeded', timeoutMs: 180_000 },
    );
    clearInterval(timer);
    await load.stop();
    const slowest = Math.max(...load.successes.map(({ startedAt, endedAt }) => endedAt - startedAt));
    print(`${JSON.stringify(dealt)}: ${load.successes.length} requests, the slowest took ${Math.round(slowest)} ms`);
    expect(countFailures(load.failures)).toEqual({});
    expect(load.abandoned).toEqual([]);
    await expectNothingLost(load, database.pool, checkInvariants);
  });
}
