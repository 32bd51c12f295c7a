import type pg from 'pg';
import { expect, test } from 'vitest';
import { createSweepActivities } from '../../../activities/sweep.ts';
import { base64, createConversation } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { reportTroubles } from '../../../store/trouble/troubles.ts';
import { signProcess } from '../../../store/process/processes.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

const { service, database } = useApi();
const pool = (): pg.Pool => database().pool;

type Listed = { id: string; troubles: string[] }[];
const operator = { user: 'operator' };

test('every route for operators refuses users', async () => {
  const id = await createConversation(service);
  for (const what of [
    'GET /v1/admin/status',
    'GET /v1/admin/conversations',
    `GET /v1/admin/conversations/${id}`,
    `GET /v1/admin/conversations/${id}/history`,
    `DELETE /v1/admin/conversations/${id}`,
    `POST /v1/admin/conversations/${id}/exports`,
    `GET /v1/admin/conversations/${id}/exports/1/entries`,
    `GET /v1/admin/conversations/${id}/exports/1/members`,
    'GET /v1/admin/users/alice',
    'GET /v1/admin/users/alice/conversations',
    'GET /v1/admin/audit',
    'GET /v1/admin/drain',
    'POST /v1/admin/drain',
    'DELETE /v1/admin/drain',
  ]) {
    const body = what.startsWith('POST') ? { body: {} } : {};
    expect([what, (await service.ask(what, { user: 'alice', ...body })).status]).toEqual([what, 403]);
  }
});

test('conversations are found by trouble, size, idle time and state', async () => {
  const large = await createConversation(service, ['bob', 'carol', 'dave']);
  const small = await createConversation(service);
  await reportTroubles(pool(), [
    { conversation: small, sign: 'blocked', details: {} },
    { conversation: large, sign: 'mailbox-full', details: { limit: 1 } },
  ]);
  await pool().query(`update conversation set last_at = last_at - interval '1 hour' where id = $1`, [small]);
  await pool().query(`update conversation set due_at = now() - interval '1 hour' where id = $1`, [large]);
  const find = async (query: string): Promise<string[]> => {
    const { body } = await service.ask(`GET /v1/admin/conversations?limit=1000&${query}`, operator);
    return (body.conversations as Listed).map(({ id }) => id).filter((id) => id === small || id === large);
  };
  expect(await find('trouble=any')).toEqual([large, small].sort());
  expect(await find('trouble=blocked')).toEqual([small]);
  expect(await find('minMembers=4')).toEqual([large]);
  expect(await find('maxMembers=1')).toEqual([small]);
  expect(await find('idleSeconds=600')).toEqual([small]);
  expect(await find('state=due')).toEqual([large]);
  expect(await find('state=due&trouble=blocked')).toEqual([]);
  await pool().query(`update trouble set last_at = last_at - interval '1 hour'`);
  expect(await find('trouble=any')).toEqual([]);
});

test('a page looks at a bounded number of conversations, and goes on where it ended', async () => {
  const many = 2100;
  await pool().query(
    `insert into conversation (id, protocol, epoch, member_count, policy, created_by, fingerprint)
      select 'AA' || lpad(i::text, 6, '0'), 'opaque', 0, 1, '{}', 'alice', '' from generate_series(1, $1) i`,
    [many],
  );
  await pool().query(`update conversation set member_count = 77 where id = 'AA' || lpad($1::text, 6, '0')`, [many]);
  const first = await service.ask('GET /v1/admin/conversations?minMembers=77', operator);
  expect(first.body.conversations).toEqual([]);
  const second = await service.ask(
    `GET /v1/admin/conversations?minMembers=77&cursor=${first.body.next as string}`,
    operator,
  );
  expect((second.body.conversations as Listed).map(({ id }) => id)).toEqual([`AA00${many}`]);
});

test('who holds the row of a conversation, and who waits for it, is shown without waiting', async () => {
  const id = await createConversation(service, [], { protocol: 'opaque' });
  const holder = await pool().connect();
  const waiter = await pool().connect();
  try {
    await holder.query('begin');
    await holder.query('select from conversation where id = $1 for update', [id]);
    const alone = await service.ask(`GET /v1/admin/conversations/${id}`, operator);
    const [{ pid }] = (await holder.query('select pg_backend_pid() as pid')).rows as [{ pid: number }];
    expect(alone.body.locks).toMatchObject([{ pid, holds: true, state: 'idle in transaction' }]);

    const waits = waiter.query('update conversation set last_at = last_at where id = $1', [id]);
    let locks: unknown;
    await waitUntil(
      async () => {
        locks = (await service.ask(`GET /v1/admin/conversations/${id}`, operator)).body.locks;
        return (locks as unknown[]).length === 2;
      },
      { what: 'the second session waits' },
    );
    expect(locks).toMatchObject([{ pid, holds: true }, { holds: false }]);
    await holder.query('rollback');
    await waits;
    expect((await service.ask(`GET /v1/admin/conversations/${id}`, operator)).body.locks).toEqual([]);
  } finally {
    await holder.query('rollback');
    holder.release();
    waiter.release();
  }
});

test('an operator deletes a conversation, once, and the audit says who', async () => {
  const id = await createConversation(service, ['bob'], { protocol: 'opaque' });
  expect((await service.ask(`DELETE /v1/admin/conversations/${id}?reason=abuse`, operator)).status).toBe(204);
  expect((await service.ask(`GET /v1/conversations/${id}`, { user: 'alice' })).status).toBe(404);
  expect((await service.ask(`GET /v1/admin/conversations/${id}`, operator)).body.state).toBe('deleted');
  expect((await service.ask(`DELETE /v1/admin/conversations/${id}`, operator)).status).toBe(404);
  const trail = await service.ask(`GET /v1/admin/audit?conversation=${id}`, operator);
  expect(trail.body.entries).toMatchObject([{ actor: 'operator', action: 'delete', details: { reason: 'abuse' } }]);

  const locked = await createConversation(service, [], { protocol: 'opaque' });
  const holder = await pool().connect();
  try {
    await holder.query('begin');
    await holder.query('select from conversation where id = $1 for update', [locked]);
    expect((await service.ask(`DELETE /v1/admin/conversations/${locked}`, operator)).status).toBe(503);
  } finally {
    await holder.query('rollback');
    holder.release();
  }
});

test('an export has every entry and member, and no page comes without an entry in the audit', async () => {
  const id = await createConversation(service, ['bob', 'carol'], { protocol: 'opaque' });
  for (let i = 0; i < 3; i++) {
    const body = { id: `m${i}`, ciphertext: base64(`text ${i}`) };
    await service.ask(`POST /v1/conversations/${id}/messages`, { user: 'alice', body });
  }
  await service.ask(`DELETE /v1/conversations/${id}/members/carol`, { user: 'alice' });
  const base = `/v1/admin/conversations/${id}/exports`;
  expect((await service.ask(`GET ${base}/1/entries`, operator)).status).toBe(404);
  const begun = await service.ask(`POST ${base}`, { ...operator, body: { reason: 'a request of the users' } });
  expect([begun.status, begun.body.lastSeq]).toEqual([201, 4]);
  const number = begun.body.export as number;
  // What comes later is not in it.
  await service.ask(`POST /v1/conversations/${id}/messages`, {
    user: 'alice',
    body: { id: 'later', ciphertext: base64('later') },
  });
  const first = await service.ask(`GET ${base}/${number}/entries?limit=3`, operator);
  const second = await service.ask(`GET ${base}/${number}/entries?after=${first.body.next as number}`, operator);
  expect(second.body.next).toBeUndefined();
  expect([...(first.body.entries as object[]), ...(second.body.entries as object[])]).toMatchObject([
    { seq: 1, id: 'm0', sender: 'alice', ciphertext: base64('text 0') },
    { seq: 2, id: 'm1' },
    { seq: 3, id: 'm2' },
    { seq: 4, kind: 'commit' },
  ]);
  const members = await service.ask(`GET ${base}/${number}/members?limit=2`, operator);
  const rest = await service.ask(`GET ${base}/${number}/members?cursor=${members.body.next as string}`, operator);
  expect([...(members.body.members as object[]), ...(rest.body.members as object[])]).toMatchObject([
    { user: 'alice', role: 'admin' },
    { user: 'bob' },
    { user: 'carol', leftSeq: 4, periods: [{ from: 1, to: 4 }] },
  ]);
  // The number is no secret: it opens nothing else, and nobody else's.
  const other = await createConversation(service);
  expect((await service.ask(`GET /v1/admin/conversations/${other}/exports/${number}/entries`, operator)).status).toBe(
    404,
  );
  await pool().query(`update audit set actor = 'somebody' where key = $1`, [number]);
  expect((await service.ask(`GET ${base}/${number}/entries`, operator)).status).toBe(404);
});

test('a user is shown with devices and conversations', async () => {
  const user = `user-${newConversationId()}`;
  expect((await service.ask(`GET /v1/admin/users/${user}`, operator)).status).toBe(404);
  const id = await createConversation(service, [user]);
  await service.ask('GET /v1/devices', { user });
  const found = await service.ask(`GET /v1/admin/users/${user}`, operator);
  expect(found.body).toMatchObject({
    user,
    consent: 'anyone',
    erasing: false,
    devices: [{ device: 'default', available: 0 }],
  });
  const groups = await service.ask(`GET /v1/admin/users/${user}/conversations`, operator);
  expect(groups.body.conversations).toMatchObject([{ id, role: 'member' }]);
});

test('the status names processes, and those that fell silent', async () => {
  const sign = { kind: 'api', version: '9.9.9', build: 'b1', taskQueue: 'q' } as const;
  const facts = { queueDepth: 3, oldestWaitMs: 9000, activeConversations: 2, openStreams: 1, diversions: { wait: 4 } };
  await signProcess(pool(), { ...sign, id: 'api-live', facts });
  await signProcess(pool(), { ...sign, id: 'api-silent', facts });
  await signProcess(pool(), { ...sign, kind: 'worker', id: 'worker-gone', facts: {} });
  await pool().query(`update process set seen_at = seen_at - interval '1 minute' where id = 'api-silent'`);
  await pool().query(`update process set seen_at = seen_at - interval '1 hour' where id = 'worker-gone'`);
  const { body, status } = await service.ask('GET /v1/admin/status', operator);
  expect(status).toBe(200);
  expect(body.queue).toEqual({
    depth: 3,
    oldestWaitMs: 9000,
    activeConversations: 2,
    openStreams: 1,
    diversions: { wait: 4 },
  });
  expect((body.processes as { id: string; state: string }[]).map(({ id, state }) => [id, state])).toEqual([
    ['api-live', 'live'],
    ['api-silent', 'silent'],
    ['worker-gone', 'gone'],
  ]);
  const codes = (body.findings as { code: string }[]).map(({ code }) => code);
  expect(codes).toEqual(expect.arrayContaining(['process-silent', 'no-worker', 'long-wait']));
});

test('a drain goes direct, keeps the setting from before, and ends', async () => {
  const path = async (): Promise<unknown> => (await service.ask('GET /v1/admin/path', operator)).body.path;
  const before = await path();
  expect((await service.ask('POST /v1/admin/drain', { ...operator, body: {} })).body).toMatchObject({
    drained: true,
    by: 'operator',
    running: 0,
    ended: 0,
  });
  await service.ask('POST /v1/admin/drain', { ...operator, body: {} });
  expect(await path()).toBe('direct');
  const status = await service.ask('GET /v1/admin/status', operator);
  expect((status.body.findings as { code: string }[]).map(({ code }) => code)).toContain('drained');
  expect((await service.ask('DELETE /v1/admin/drain', operator)).body).toMatchObject({ drained: false });
  expect(await path()).toBe(before);
  const trail = await service.ask('GET /v1/admin/audit?limit=2', operator);
  expect(trail.body.entries).toMatchObject([{ action: 'end-drain' }, { action: 'drain' }]);
});

test('while the workflow path is drained, the sweep wakes nobody', async () => {
  const due = await createConversation(service, [], { protocol: 'opaque' });
  await pool().query(`update conversation set due_at = now() - interval '1 minute' where id = $1`, [due]);
  const woken: string[] = [];
  const sweep = createSweepActivities({
    pool: pool(),
    ages: { stagedMs: 1e9, operationsMs: 1e9, idempotencyMs: 1e9 },
    onSwept: () => undefined,
    wake: (conversation) => Promise.resolve(void woken.push(conversation)),
    startOffBoarding: () => Promise.resolve(),
    onFailure: () => undefined,
  });
  await service.ask('POST /v1/admin/drain', { ...operator, body: {} });
  await sweep.wakeDue({ now: Date.now() });
  expect(woken).toEqual([]);
  // A new path ends the drain too.
  await service.ask('PUT /v1/admin/path', { ...operator, body: { path: 'auto' } });
  expect((await service.ask('GET /v1/admin/drain', operator)).body).toMatchObject({ drained: false });
  await sweep.wakeDue({ now: Date.now() });
  expect(woken).toContain(due);
});
