import { expect, test } from 'vitest';
import { DEFAULT_POLICY } from '../../../domain/supervision/policy.ts';
import { signProcess } from '../../../store/process/processes.ts';
import { writeActions } from '../../../store/supervision/actions.ts';
import { readPolicy } from '../../../store/supervision/policy.ts';
import { reportTroubles } from '../../../store/trouble/troubles.ts';
import type { Answer } from '../../../tools/harness/answer.ts';
import { createConversation } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';

const { database, service } = useApi();
const operator = { user: 'operator' } as const;

test('operators see the supervisor, conversations in trouble, and what was done', async () => {
  const { pool } = database();
  const before = await service.ask('GET /v1/admin/supervisor', operator);
  expect(before.body).toEqual({ running: false, degraded: false, policy: DEFAULT_POLICY, troubles: [], actions: [] });

  const id = await createConversation(service);
  const facts = { degraded: true, intervalMs: 5000 };
  const sign = { id: 's', kind: 'supervisor', version: '1', build: 'b', taskQueue: 'in-process', facts } as const;
  await signProcess(pool, sign);
  for (let i = 0; i < 2; i++)
    await reportTroubles(pool, [{ conversation: id, sign: 'timeouts', details: { seen: i } }]);
  await writeActions(pool, [
    { conversation: id, action: 'restart', reason: 'timeouts', details: { runId: 'r' } },
    { action: 'degrade', reason: 'escalations', details: { buckets: 3 } },
  ]);
  const { body } = await service.ask('GET /v1/admin/supervisor', operator);
  expect(body).toMatchObject({
    running: true,
    degraded: true,
    troubles: [{ conversation: id, sign: 'timeouts', seen: 2, details: { seen: 1 } }],
    actions: [
      { action: 'degrade', reason: 'escalations', details: { buckets: 3 } },
      { conversation: id, action: 'restart', reason: 'timeouts', details: { runId: 'r' } },
    ],
  });
  expect(body.silentMs).toBeLessThan(60_000);
});

test('a supervisor that was silent for long does not run', async () => {
  const { pool } = database();
  await pool.query(`update process set seen_at = seen_at - interval '46 seconds'`);
  const { body } = await service.ask('GET /v1/admin/supervisor', operator);
  expect(body).toMatchObject({ running: false });
  expect(body.silentMs).toBeGreaterThanOrEqual(46_000);
});

test('an operator changes the policy within its bounds, and the audit trail has it', async () => {
  const { pool } = database();
  const put = (body: unknown, user = 'operator'): Promise<Answer> =>
    service.ask('PUT /v1/admin/supervisor', { user, body });
  expect((await put({ maxRestarts: 5 }, 'alice')).status).toBe(403);
  for (const bad of [{ maxRestarts: 0 }, { strategy: 'one-for-all' }, { unknown: 1 }, { looks: 1.5 }]) {
    expect((await put(bad)).body.code).toBe('malformed');
  }
  const first = await readPolicy(pool);
  const wanted = { ...DEFAULT_POLICY, maxRestarts: 5 };
  expect(await put({ maxRestarts: 5 })).toMatchObject({ status: 200, body: wanted });
  const second = await readPolicy(pool);
  expect(second.policy).toEqual(wanted);
  // The same again is a change too: it resumes what was stopped.
  await put({ maxRestarts: 5 });
  expect(new Set([first.mark, second.mark, (await readPolicy(pool)).mark]).size).toBe(3);
  const { body } = await service.ask('GET /v1/admin/audit', operator);
  const [last, earlier] = (body as { entries?: unknown[] }).entries ?? [];
  expect(last).toMatchObject({ actor: 'operator', action: 'supervisor-policy', details: { from: wanted, to: wanted } });
  expect(earlier).toMatchObject({ details: { from: DEFAULT_POLICY, to: wanted } });
});
