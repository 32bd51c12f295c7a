import { expect, test } from 'vitest';
import type { Answer } from '../../../tools/harness/answer.ts';
import { privateMessage } from '../../harness/api/frames.ts';
import { base64, createConversation } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';
import {
  type Group,
  commit,
  groupInfoOf,
  localGroup,
  makeExternal,
  newKeys,
  startGroup,
  verdict,
  wireGroupInfo,
} from '../../harness/mls/group.ts';

/** An admin says who cannot come back by itself: who leaves to escape, and who was never here. */
const { database, service } = useApi();

const ANYONE = { externalJoin: 'anyone' };
let count = 0;

function bar(id: string, user: string, by = 'alice'): Promise<Answer> {
  return service.ask(`POST /v1/conversations/${id}/members/${user}/bar`, { user: by });
}

function lift(id: string, user: string, by = 'alice'): Promise<Answer> {
  return service.ask(`DELETE /v1/conversations/${id}/members/${user}/bar`, { user: by });
}

function leave(id: string, user: string): Promise<Answer> {
  return service.ask(`DELETE /v1/conversations/${id}/members/${user}`, { user });
}

async function joinAs(group: Group, user: string, removes?: string): Promise<Answer> {
  const bundle = await makeExternal(await groupInfoOf(group.of('alice')), await newKeys(user), removes);
  return commit(service, group.id, user, bundle.body);
}

test('one who leaves to escape cannot come back by itself where anyone may join, until the bar is lifted', async () => {
  const group = await startGroup(service, ['alice', 'bob', 'mallory'], ANYONE);
  expect((await leave(group.id, 'mallory')).status).toBe(200);
  const answer = await bar(group.id, 'mallory');
  expect([answer.status, answer.body]).toEqual([200, { user: 'mallory', barred: true }]);
  expect(verdict(await joinAs(group, 'mallory', 'mallory'))).toEqual([404, 'not-found']);
  const info = await service.ask(`GET /v1/conversations/${group.id}/group-info`, { user: 'mallory' });
  expect(info.status).not.toBe(200);
  const lifted = await lift(group.id, 'mallory');
  expect([lifted.status, lifted.body]).toEqual([200, { user: 'mallory', barred: false }]);
  expect(verdict(await joinAs(group, 'mallory', 'mallory'))).toEqual([200, undefined]);
});

test('an outsider is barred before it ever comes, and others come as before', async () => {
  const group = await startGroup(service, ['alice', 'bob'], ANYONE);
  expect((await bar(group.id, 'mallory')).status).toBe(200);
  const answer = await joinAs(group, 'mallory');
  const expected = await service.ask(`GET /v1/conversations/${newConversationId()}`, { user: 'mallory' });
  const { requestId: _own, ...problem } = answer.body;
  const { requestId: _other, ...same } = expected.body;
  expect([answer.status, problem]).toEqual([404, same]);
  const info = await service.ask(`GET /v1/conversations/${group.id}/group-info`, { user: 'mallory' });
  expect(verdict(info)).toEqual([404, 'not-found']);
  expect(verdict(await joinAs(group, 'oscar'))).toEqual([200, undefined]);
});

test('a bar removes nobody: a member goes on, also with further devices', async () => {
  const group = await startGroup(service, ['alice', 'bob']);
  expect((await bar(group.id, 'bob')).status).toBe(200);
  const view = await service.ask(`GET /v1/conversations/${group.id}`, { user: 'bob' });
  expect(view.body).toMatchObject({ role: 'member' });
  expect(verdict(await joinAs(group, 'bob', 'bob'))).toEqual([200, undefined]);
});

test('an add by an admin lifts the bar, and one by a plain member is refused', async () => {
  const id = await createConversation(service, ['bob', 'mallory'], { protocol: 'opaque' });
  const add = (by: string): Promise<Answer> =>
    service.ask(`POST /v1/conversations/${id}/members`, { user: by, body: { users: ['mallory'] } });
  await leave(id, 'mallory');
  await bar(id, 'mallory');
  expect(verdict(await add('bob'))).toEqual([403, 'not-allowed']);
  expect(verdict(await add('alice'))).toEqual([200, undefined]);
  await leave(id, 'mallory');
  expect(verdict(await add('bob'))).toEqual([200, undefined]);
});

test('only admins bar; the same again has the same answer, and stands in the audit once', async () => {
  const id = await createConversation(service, ['bob']);
  expect(verdict(await bar(id, 'mallory', 'bob'))).toEqual([403, 'not-allowed']);
  expect(verdict(await lift(id, 'mallory', 'bob'))).toEqual([403, 'not-allowed']);
  expect(verdict(await bar(id, 'bob', 'mallory'))).toEqual([404, 'not-found']);
  for (let i = 0; i < 3; i++) expect((await bar(id, 'mallory')).body).toEqual({ user: 'mallory', barred: true });
  for (let i = 0; i < 3; i++) expect((await lift(id, 'mallory')).body).toEqual({ user: 'mallory', barred: false });
  const { body } = await service.ask(`GET /v1/admin/audit?conversation=${id}`, { user: 'operator' });
  expect(body.entries).toMatchObject([
    { action: 'unbar', actor: 'alice', details: { user: 'mallory' } },
    { action: 'bar', actor: 'alice', details: { user: 'mallory' } },
  ]);
});

test('the number of bars is bounded, and to lift one makes room', async () => {
  const id = await createConversation(service);
  await database().pool.query(
    `insert into bar (conversation, user_id, barred_by)
     select key, 'user-' || n, 'alice' from conversation, generate_series(1, 1000) n where id = $1`,
    [id],
  );
  expect(verdict(await bar(id, 'mallory'))).toEqual([403, 'not-allowed']);
  expect((await bar(id, 'user-7')).status).toBe(200);
  expect((await lift(id, 'user-7')).status).toBe(200);
  expect((await bar(id, 'mallory')).status).toBe(200);
});

test('who was removed or barred stays out across a reset, and across the next one', async () => {
  const group = await startGroup(service, ['alice', 'bob', 'carol', 'dave'], { ...ANYONE, groupInfo: 'optional' });
  await leave(group.id, 'carol');
  await bar(group.id, 'carol');
  await bar(group.id, 'oscar');
  await leave(group.id, 'dave');
  const removal = { commit: base64(privateMessage(group.id, 1, 'commit')), removes: ['bob'], id: `c${count++}` };
  expect(verdict(await commit(service, group.id, 'alice', removal))).toEqual([200, undefined]);

  let old = group.id;
  for (let round = 0; round < 2; round++) {
    const { id, states } = await localGroup(['alice']);
    const state = states.get('alice') ?? expect.unreachable();
    const done = await service.ask(`POST /v1/conversations/${old}/reset`, { user: 'alice', body: { successor: id } });
    expect(done.status).toBe(201);
    const groupInfo = wireGroupInfo(await groupInfoOf(state));
    await service.ask(`PUT /v1/conversations/${id}/group-info`, { user: 'alice', body: { groupInfo } });
    for (const user of ['bob', 'carol', 'oscar']) {
      const bundle = await makeExternal(await groupInfoOf(state), await newKeys(user));
      expect([user, ...verdict(await commit(service, id, user, bundle.body))]).toEqual([user, 404, 'not-found']);
    }
    old = id;
    if (round === 0) continue;
    // Dave left by itself: it may come back.
    const bundle = await makeExternal(await groupInfoOf(state), await newKeys('dave'));
    expect(verdict(await commit(service, id, 'dave', bundle.body))).toEqual([200, undefined]);
  }
});

test('what a reset remembers of a removal is lifted by any add, and by an admin', async () => {
  const id = await createConversation(service, ['bob', 'carol', 'dave'], { protocol: 'opaque' });
  for (const user of ['carol', 'dave'])
    await service.ask(`DELETE /v1/conversations/${id}/members/${user}`, { user: 'bob' });
  const successor = newConversationId();
  await service.ask(`POST /v1/conversations/${id}/reset`, { user: 'alice', body: { successor } });
  const added = await service.ask(`POST /v1/conversations/${successor}/members`, {
    user: 'bob',
    body: { users: ['carol'] },
  });
  expect(verdict(added)).toEqual([200, undefined]);
  expect((await lift(successor, 'dave')).body).toEqual({ user: 'dave', barred: false });
});

test('a barred member has no leaf in a successor, and makes none by itself', async () => {
  const group = await startGroup(service, ['alice', 'bob', 'mallory'], ANYONE);
  expect((await bar(group.id, 'mallory')).status).toBe(200);
  const { id, states } = await localGroup(['alice']);
  const state = states.get('alice') ?? expect.unreachable();
  const done = await service.ask(`POST /v1/conversations/${group.id}/reset`, {
    user: 'alice',
    body: { successor: id },
  });
  expect(done.status).toBe(201);
  const info = await groupInfoOf(state);
  const supplied = { user: 'alice', body: { groupInfo: wireGroupInfo(info) } };
  expect((await service.ask(`PUT /v1/conversations/${id}/group-info`, supplied)).status).toBe(200);
  const barred = await makeExternal(info, await newKeys('mallory'));
  expect(verdict(await commit(service, id, 'mallory', barred.body))).toEqual([403, 'not-allowed']);
  const pending = await makeExternal(info, await newKeys('bob'));
  expect(verdict(await commit(service, id, 'bob', pending.body))).toEqual([200, undefined]);
});
