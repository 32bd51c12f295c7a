import { expect, test } from 'vitest';
import { auditNextConversations } from '../../store/consistency/audit.ts';
import { beginRun, saveProgress } from '../../store/consistency/runs.ts';
import { manyId, seedMany } from '../../tools/load/seed-many.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { useService } from '../harness/service.ts';

const service = useService({ workers: 1 });
const PATH = '/v1/admin/audit/consistency';

interface Audit {
  readonly state: string;
  readonly checked: number;
  readonly found: number;
  readonly findings: readonly { readonly conversation?: string; readonly rule: string }[];
}

async function ask(method: string, body?: unknown): Promise<{ status: number; body: Audit }> {
  const [url = ''] = service().urls();
  const response = await fetch(`${url}${PATH}`, {
    method,
    headers: {
      authorization: `Bearer ${await service().token('operator', { operator: true })}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Audit };
}

test('an operator starts an audit; a worker that was killed in it loses nothing, and the next one goes on', async () => {
  const { pool } = service();
  await seedMany(pool, { name: 'e2e', conversations: 450, members: 2 });
  await pool.query('update conversation set epoch = 1 where id = any ($1)', [[manyId('e2e', 7), manyId('e2e', 440)]]);
  expect((await ask('GET')).body).toMatchObject({ state: 'none', findings: [] });

  // What a worker leaves that is killed after its first slice.
  const run = await beginRun(pool, 'operator');
  const {
    checked,
    found,
    findings,
    next = '',
  } = await auditNextConversations(pool, {
    after: run.position,
    last: run.lastKey,
  });
  await saveProgress(pool, run, { checked, found, findings, next: { subject: 'conversations', position: next } });
  expect((await ask('GET')).body).toMatchObject({ state: 'running', checked: 200, found: 1 });
  await service().replace('worker', 0);

  // The schedule comes with a worker.
  await waitUntil(async () => (await ask('POST', {})).status === 202, { what: 'the audit runs' });
  await waitUntil(async () => (await ask('GET')).body.state === 'finished', { what: 'the audit is over' });
  expect((await ask('GET')).body).toMatchObject({
    checked: 450,
    found: 2,
    findings: [
      { conversation: manyId('e2e', 7), rule: 'epoch-counts-commits', details: { epoch: 1, base: 0, commits: 0 } },
      { conversation: manyId('e2e', 440), rule: 'epoch-counts-commits' },
    ],
  });

  // A few at once, without an audit of all.
  const few = await ask('POST', { conversations: [manyId('e2e', 7), manyId('e2e', 8), 'AAAA'] });
  expect([few.status, few.body.checked, few.body.found]).toEqual([200, 2, 1]);
  expect((await ask('DELETE')).status).toBe(204);
  expect((await ask('GET')).body.state).toBe('finished');

  const { rows } = await pool.query<{ action: string }>(`select distinct action from audit where actor = 'operator'`);
  expect(rows).toEqual([{ action: 'consistency-audit' }]);
});
