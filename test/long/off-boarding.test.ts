import { expect, test } from 'vitest';
import { offBoardingWorkflowId } from '../../dispatch/off-boarding-runs.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { seedMany } from '../../tools/load/seed-many.ts';
import { SENDER_SECRET } from '../harness/off-boarding.ts';
import { print } from '../harness/print.ts';
import { useService } from '../harness/service.ts';

const service = useService({
  apis: 1,
  workers: 1,
  env: { EXTERNAL_SENDER_KEY: SENDER_SECRET, CONVERSATION_PATH: 'direct' },
});
const GROUPS = 10_000;
const USER = 'user-1';

async function ask(method: string, body?: unknown): Promise<Record<string, unknown>> {
  const token = await service().token('operator', { operator: true });
  const answer = await fetch(new URL(`/v1/admin/users/${USER}/off-boarding`, service().urls()[0]), {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return (await answer.json()) as Record<string, unknown>;
}

test('10,000 groups of one user are worked off, although the worker is killed in the middle, and an undo takes all of it back', async () => {
  const { pool } = service();
  await seedMany(pool, { name: 'off-boarding', conversations: GROUPS, each: GROUPS, members: 2 });
  // The chain begins with the protocol.
  await pool.query(
    `update conversation set protocol = 'mls', chain = chain_origin(id, 'mls', 0), oldest_chain = chain_origin(id, 'mls', 0)`,
  );
  const startedAt = performance.now();
  expect(await ask('POST', { reason: 'account-closed' })).toMatchObject({ total: GROUPS });

  let last: Record<string, unknown> = {};
  const until = async (isThere: (state: Record<string, unknown>) => boolean, what: string): Promise<void> => {
    await waitUntil(async () => isThere((last = await ask('GET'))), {
      what,
      timeoutMs: 170_000,
    });
  };
  await until(({ waiting }) => Number(waiting) > 500, 'progress is seen');
  expect(Number(last.waiting)).toBeLessThan(GROUPS);
  await service().workers[0]?.kill9();
  await service().addWorker();
  await until(({ state }) => state === 'waiting', 'all groups are reached');
  expect(last).toMatchObject({ total: GROUPS, done: 0, waiting: GROUPS });
  print(`worked off ${GROUPS} groups in ${Math.round((performance.now() - startedAt) / 1000)} s, with a killed worker`);
  const id = await pool.query<{ id: number }>('select id from off_boarding');
  const run = await service()
    .temporal.workflow.getHandle(offBoardingWorkflowId(service().taskQueue, Number(id.rows[0]?.id)))
    .describe();
  expect(run.status.name).toBe('RUNNING');

  const state = async (): Promise<unknown> =>
    (
      await pool.query(
        `select count(*) filter (where left_seq is null)::int as members, count(*) filter (where leaving)::int as leaving
      from member where user_id = $1`,
        [USER],
      )
    ).rows[0];
  expect(await state()).toEqual({ members: 0, leaving: GROUPS });
  await ask('DELETE');
  await until(({ state: now }) => now === 'undone', 'it is taken back');
  expect(await state()).toEqual({ members: GROUPS, leaving: 0 });
  const { rows } = await pool.query<{ id: string }>('select id from conversation order by key limit 3');
  for (const conversation of rows) await checkInvariants(pool, conversation.id);
});
