import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { Path } from '../../../dispatch/executor.ts';
import { makeStager } from '../../../dispatch/stager.ts';
import { makeLanes } from '../../../dispatch/dispatcher.ts';
import { makeMetrics } from '../../../process/metrics.ts';
import { decide } from '../../../store/decision/decide.ts';
import { useDatabase } from '../../harness/database.ts';
import { messageSubmission } from '../../../tools/harness/submissions.ts';
import { startConversation } from '../../harness/requests.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

const database = useDatabase();

test('after a message that missed its deadline in the lane was sent again, no row pairs its sender with its bytes', async () => {
  const { pool } = database();
  const id = await startConversation(pool);
  const countStaged = async (): Promise<number | null> => (await pool.query('select from staged')).rowCount;
  let letGo: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (letGo = resolve));
  const apply: Path = async ({ conversation, items }) => {
    await held;
    const operations = items.map(({ operation }) => operation);
    return { outcomes: (await decide(pool, conversation, operations)).outcomes, retries: 0 };
  };
  const lanes = makeLanes({
    pathOf: () => 'workflow',
    paths: { workflow: apply, direct: apply },
    stager: makeStager(pool),
    metrics: makeMetrics({ collectDefaults: false }),
    log: pino({ level: 'silent' }),
    mailboxLimit: 100,
  });
  const first = lanes.submit(messageSubmission(id, 'bob'));
  const draft = messageSubmission(id, 'alice');
  await expect(lanes.submit({ ...draft, deadline: Date.now() })).rejects.toMatchObject({ code: 'deadline' });
  const again = lanes.submit(draft);
  await waitUntil(async () => (await countStaged()) === 3, { what: 'all are staged' });
  letGo();
  expect([await first, await again]).toMatchObject([{ status: 'accepted' }, { status: 'accepted' }]);
  await waitUntil(async () => (await countStaged()) === 0, { what: 'nothing is staged' });
});
