import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { Executor } from '../../../dispatch/executor.ts';
import { makeStager } from '../../../dispatch/stager.ts';
import { makeDispatcher } from '../../../dispatch/dispatcher.ts';
import type { Command } from '../../../domain/command.ts';
import type { StagedCommand } from '../../../domain/staged-command.ts';
import { makeMetrics } from '../../../process/metrics.ts';
import { decide } from '../../../store/decision/decide.ts';
import { useDatabase } from '../../harness/database.ts';
import { messageSubmission } from '../../../tools/harness/submissions.ts';
import { startConversation } from '../../harness/requests.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

const database = useDatabase();

test('no row connects a sender with bytes after a message missed its deadline in the queue and was sent again', async () => {
  const { pool } = database();
  const id = await startConversation(pool);
  const countStaged = async (): Promise<number | null> => (await pool.query('select from staged')).rowCount;
  let letGo: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (letGo = resolve));
  const workflow: Executor<StagedCommand> = async ({ conversation, commands }) => {
    await held;
    return { outcomes: (await decide(pool, conversation, commands)).outcomes, retries: 0 };
  };
  const direct: Executor<Command | StagedCommand> = () => Promise.reject(new Error('Nothing goes this way'));
  const dispatcher = makeDispatcher({
    pathOf: () => 'workflow',
    executors: { workflow, direct },
    stager: makeStager(pool),
    metrics: makeMetrics({ collectDefaults: false }),
    log: pino({ level: 'silent' }),
    mailboxLimit: 100,
  });
  const first = dispatcher.submit(messageSubmission(id, 'bob'));
  const submission = messageSubmission(id, 'alice');
  await expect(dispatcher.submit({ ...submission, deadline: Date.now() })).rejects.toMatchObject({ code: 'deadline' });
  const again = dispatcher.submit(submission);
  await waitUntil(async () => (await countStaged()) === 3, { what: 'all are staged' });
  letGo();
  expect([await first, await again]).toMatchObject([{ status: 'accepted' }, { status: 'accepted' }]);
  await waitUntil(async () => (await countStaged()) === 0, { what: 'nothing is staged' });
});
