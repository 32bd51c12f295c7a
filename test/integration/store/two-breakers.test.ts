import fc from 'fast-check';
import { pino } from 'pino';
import type pg from 'pg';
import { expect, test } from 'vitest';
import { AutoPath } from '../../../dispatch/auto/auto-path.ts';
import { makeDirectExecutor } from '../../../dispatch/direct-executor.ts';
import { type Dispatcher, makeDispatcher } from '../../../dispatch/dispatcher.ts';
import type { Executor } from '../../../dispatch/executor.ts';
import { pause } from '../../../dispatch/pause.ts';
import { makeStager } from '../../../dispatch/stager.ts';
import type { Submission } from '../../../dispatch/submission.ts';
import type { StagedCommand } from '../../../domain/staged-command.ts';
import { makeMetrics } from '../../../process/metrics.ts';
import { decideCommands } from '../../../store/decision/decide.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import {
  createInStore,
  membershipSubmission,
  messageSubmission,
  readSubmission,
} from '../../../tools/harness/submissions.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useDatabase } from '../../harness/database.ts';
import { PROPERTY_TIMEOUT_MS, propertyOptions } from '../../harness/random-requests.ts';

const database = useDatabase();
const USERS = ['alice', 'bob', 'carol', 'dave'];
const log = pino({ level: 'silent' });

/** A workflow that decides each update, sooner or later: late ones were given up long before. */
function lateWorkflow(
  pool: pg.Pool,
  delays: readonly number[],
  running: Set<Promise<unknown>>,
): Executor<StagedCommand> {
  let calls = 0;
  return ({ conversation, commands }) => {
    const delay = delays[calls++ % delays.length] ?? 0;
    const decision = pause(delay).then(() => decideCommands(pool, conversation, commands));
    running.add(decision);
    return decision.then(({ outcomes }) => ({ outcomes, retries: 0 }));
  };
}

function startProcess(pool: pg.Pool, workflow: Executor<StagedCommand>): { dispatcher: Dispatcher; auto: AutoPath } {
  const auto = new AutoPath();
  const notifier = {
    entry: () => undefined,
    device: () => undefined,
    stream: () => undefined,
    read: () => undefined,
    setting: () => Promise.resolve(),
  };
  const metrics = makeMetrics({ collectDefaults: false });
  const dispatcher = makeDispatcher({
    pathOf: () => 'auto',
    auto,
    executors: { workflow, direct: makeDirectExecutor({ pool, notifier, log, onRetry: metrics.batchRetry }) },
    stager: makeStager(pool),
    metrics,
    log,
    mailboxLimit: 1000,
  });
  return { dispatcher, auto };
}

let added = 0;

function nextOf(kind: string, id: string, user: string): Submission {
  if (kind === 'message') return messageSubmission(id, user);
  if (kind === 'read') return readSubmission(id, user);
  return membershipSubmission(id, user, { adds: [`new-${added++}`] });
}

test(
  'two processes with opposite breakers on one conversation keep every invariant (invariants 1 to 4, 7 and 9)',
  async () => {
    const { pool } = database();
    const step = fc.record({
      process: fc.integer({ min: 0, max: 1 }),
      user: fc.constantFrom(...USERS),
      kind: fc.constantFrom('message', 'message', 'message', 'read', 'add'),
      flip: fc.boolean(),
      waitMs: fc.constantFrom(0, 0, 1, 5),
    });
    const delays = fc.array(fc.constantFrom(0, 2, 10, 60), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), delays, async (steps, given) => {
        const id = await createInStore(pool, USERS);
        const running = new Set<Promise<unknown>>();
        const processes = [0, 1].map(() => startProcess(pool, lateWorkflow(pool, given, running)));
        const sent: Submission[] = [];
        const outcomes: Promise<unknown>[] = [];
        for (const { process, user, kind, flip, waitMs } of steps) {
          if (flip) {
            // Opposite breakers: one opens, the other closes.
            for (const [i, { auto, dispatcher }] of processes.entries()) {
              if ((i === process) !== auto.breaker.isOpen) {
                if (i === process) auto.breaker.open('silent');
                else while (auto.breaker.isOpen) auto.breaker.probed(true);
                dispatcher.look();
              }
            }
          }
          const next: Submission = nextOf(kind, id, user);
          sent.push(next);
          const dispatcher = processes[process]?.dispatcher;
          if (dispatcher !== undefined) outcomes.push(dispatcher.submit(next));
          await pause(waitMs);
        }
        for (const outcome of await Promise.all(outcomes)) expect(outcome).toMatchObject({ status: 'accepted' });
        await Promise.allSettled(running);
        await checkInvariants(pool, id);
        const { rows } = await pool.query<{ id: string; count: number }>(
          `select message_id as id, count(*)::int as count from entry e join conversation c on c.key = e.conversation
         where c.id = $1 group by message_id`,
          [id],
        );
        const counts = new Map(rows.map((row) => [row.id, row.count]));
        for (const { command } of sent) {
          if (command.kind !== 'read') expect([command.kind, counts.get(command.id)]).toEqual([command.kind, 1]);
        }
        await waitUntil(async () => (await pool.query('select from staged')).rowCount === 0, {
          what: 'nothing is staged',
        });
      }),
      propertyOptions(15),
    );
  },
  PROPERTY_TIMEOUT_MS,
);
