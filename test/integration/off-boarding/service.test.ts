import { expect, test } from 'vitest';
import { openAccountStream, openEventStream } from '../../../tools/harness/event-stream.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { createInStore } from '../../../tools/harness/submissions.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { createSweepActivities } from '../../../activities/sweep.ts';
import { beginOffBoarding } from '../../../store/off-boarding/off-boardings.ts';
import { SWEEP_AGES } from '../../../worker/create-worker.ts';
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

test('tickets and targets for wake-ups go with a device, and its next login gets new tickets', async () => {
  const [url = '', other = ''] = service().urls();
  const laptop = { device: 'laptop' };
  const ticketOf = async (token: string): Promise<string> => {
    const answer = await fetch(new URL('/v1/stream-tickets', url), {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ path: '/v1/events' }),
    });
    return ((await answer.json()) as { ticket: string }).ticket;
  };
  const open = async (ticket: string): Promise<number> => {
    const stop = new AbortController();
    const { status } = await fetch(new URL(`/v1/events?ticket=${ticket}`, other), { signal: stop.signal });
    stop.abort();
    return status;
  };
  const old = await ticketOf(await tokenOf('owner', laptop));
  expect(await open(old)).toBe(200);
  await service().pool.query(
    `insert into push_target (user_id, device_id, kind, endpoint) values ('owner', 'laptop', 'gateway', 'a-token')`,
  );
  const begun = await ask('POST', '/v1/admin/users/owner/off-boarding', {
    body: { reason: 'device-stolen', device: 'laptop' },
  });
  expect(begun.status).toBe(202);
  expect(await open(old)).toBe(401);
  expect((await service().pool.query(`select from push_target where user_id = 'owner'`)).rowCount).toBe(0);
  // `iat` has whole seconds.
  const cutOffAt = Date.parse(String(begun.body.startedAt));
  await waitUntil(() => Math.floor(Date.now() / 1000) * 1000 > cutOffAt, { what: 'the next second begins' });
  expect(await open(await ticketOf(await tokenOf('owner', laptop)))).toBe(200);
});

test('a device that its user forgets is refused by every process before its stream ends, and what it still sends does not list it again', async () => {
  const [, other = ''] = service().urls();
  const headersOf = async (device: string): Promise<{ authorization: string }> => ({
    authorization: `Bearer ${await service().token('owner', { device })}`,
  });
  const [phone, laptop] = [await headersOf('phone'), await headersOf('laptop')];
  const devices = async (): Promise<string[]> => {
    const answer = await fetch(new URL('/v1/devices', service().urls()[0]), { headers: laptop });
    const body = (await answer.json()) as { devices: { device: string }[] };
    return body.devices.map(({ device }) => device);
  };
  const stream = await openAccountStream(other, phone.authorization.slice('Bearer '.length));
  await waitUntil(async () => (await devices()).join() === 'laptop,phone', { what: 'both devices are known' });
  const answers: number[] = [];
  const over = new AbortController();
  const asking = (async () => {
    while (!over.signal.aborted)
      answers.push((await fetch(new URL('/v1/key-packages', other), { headers: phone })).status);
  })();

  const forgotten = await fetch(new URL('/v1/devices/phone', service().urls()[0]), {
    method: 'DELETE',
    headers: laptop,
  });
  expect(forgotten.status).toBe(204);
  await waitUntil(() => stream.endedAt() !== undefined, { what: 'the stream ends' });
  const refused = await fetch(new URL('/v1/key-packages', other), { headers: phone });
  expect([refused.status, await refused.json()]).toMatchObject([403, { code: 'removed' }]);
  over.abort();
  await asking;
  // Once it is refused it stays so.
  expect(answers.lastIndexOf(200)).toBeLessThan([...answers, 403].indexOf(403));
  // What was noted while requests ended is written by now: this request waits for it.
  expect(await devices()).toEqual(['laptop']);
});

test('the sweep starts the workflow of an off-boarding again that is gone', async () => {
  const { pool } = service();
  const id = await beginOffBoarding(pool, { user: 'gone', device: '', actor: 'operator' }, 'account-closed');
  const started: number[] = [];
  const { wakeDue } = createSweepActivities({
    pool,
    ages: SWEEP_AGES,
    onSwept: () => undefined,
    wake: () => Promise.resolve(),
    startOffBoarding: (one) => Promise.resolve(void started.push(one)),
    onFailure: (_, error) => {
      throw error;
    },
  });
  await wakeDue({ now: Date.now() });
  expect(started).toContain(id);
  await pool.query('update off_boarding set seen_at = clock_timestamp() where id = $1', [id]);
  started.length = 0;
  await wakeDue({ now: Date.now() });
  expect(started).not.toContain(id);
});
