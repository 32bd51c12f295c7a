import { expect, test } from 'vitest';
import { openAccountStream, openEventStream } from '../../../tools/harness/event-stream.ts';
import { createInStore } from '../../../tools/harness/submissions.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { SENDER_SECRET } from '../../harness/off-boarding.ts';
import { useService } from '../../harness/service.ts';

// Two API processes: what one of them answers, the other must know.
const service = useService({ apis: 2, workers: 1, env: { EXTERNAL_SENDER_KEY: SENDER_SECRET } });
const GROUPS = 25;
const PATH = '/v1/admin/users/victim/off-boarding';

async function ask(
  method: string,
  path: string,
  { user = 'operator', api = 0, body }: { user?: string; api?: number; body?: unknown } = {},
): Promise<{ status: number; body: Record<string, unknown> }> {
  const token = await service().token(user, { operator: user === 'operator' });
  const answer = await fetch(new URL(path, service().urls()[api]), {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

async function untilState(state: string): Promise<void> {
  await waitUntil(async () => (await ask('GET', PATH)).body.state === state, { what: `the off-boarding is ${state}` });
}

test('an operator removes a user from everywhere: sends stop, streams end, a workflow works it off, and an undo takes it back', async () => {
  const ids = await Promise.all(
    Array.from({ length: GROUPS }, () => createInStore(service().pool, ['alice', 'victim'])),
  );
  // Without a ratchet tree the service cannot propose: members are told.
  await service().pool.query(`update conversation set protocol = 'mls' where id = any ($1)`, [ids]);
  const [id = ''] = ids;
  const [one = '', other = ''] = service().urls();
  const token = await service().token('victim');
  const streams = [
    await openAccountStream(one, token),
    await openAccountStream(other, await service().token('victim', { device: 'laptop' })),
    await openEventStream(other, id, token),
  ];
  const member = await openAccountStream(one, await service().token('alice'));

  const begun = await ask('POST', PATH, { body: { reason: 'account-closed' } });
  expect([begun.status, begun.body]).toMatchObject([202, { state: 'working', total: GROUPS, done: 0 }]);
  for (const stream of streams) {
    await waitUntil(() => stream.endedAt() !== undefined, { what: 'the stream ends' });
    expect(stream.events.at(-1)?.event).toBe('removed');
  }
  const refused = await ask('GET', '/v1/key-packages', { user: 'victim', api: 1 });
  expect([refused.status, refused.body.code]).toEqual([403, 'removed']);

  await untilState('waiting');
  expect((await ask('GET', PATH, { api: 1 })).body).toMatchObject({ total: GROUPS, done: 0, waiting: GROUPS });
  const wanted = (): number => member.events.filter(({ event }) => event === 'removal-wanted').length;
  await waitUntil(() => wanted() === GROUPS, { what: 'members are told' });

  expect((await ask('DELETE', PATH)).status).toBe(202);
  await untilState('undone');
  const { rows } = await service().pool.query<{ members: number }>(
    `select count(*)::int as members from member where user_id = 'victim' and left_seq is null and not leaving`,
  );
  expect(rows).toEqual([{ members: GROUPS }]);
  await waitUntil(async () => (await ask('GET', '/v1/conversations', { user: 'victim', api: 1 })).status === 200, {
    what: 'the other process lets it in again',
  });
  const { rows: audit } = await service().pool.query(
    `select action, actor from audit where action like 'off-boarding%' order by key`,
  );
  expect(audit).toEqual([
    { action: 'off-boarding', actor: 'operator' },
    { action: 'off-boarding-undone', actor: 'operator' },
  ]);
  member.close();
});
