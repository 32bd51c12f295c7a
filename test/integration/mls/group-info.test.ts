import { expect, test } from 'vitest';
import type { Answer } from '../../../tools/harness/answer.ts';
import { listAudit } from '../../../store/repair/audit.ts';
import { base64, createConversation } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';
import {
  type Group,
  add,
  commit,
  deliver,
  groupInfoOf,
  localGroup,
  makeBundle,
  newKeys,
  removalOf,
  startGroup,
  verdict,
  wireGroupInfo,
} from '../../harness/mls/group.ts';

const { database, service } = useApi();

const OPTIONAL = { groupInfo: 'optional' };

function get(id: string, user: string): Promise<Answer> {
  return service.ask(`GET /v1/conversations/${id}/group-info`, { user });
}

function put(id: string, user: string, groupInfo: string): Promise<Answer> {
  return service.ask(`PUT /v1/conversations/${id}/group-info`, { user, body: { groupInfo } });
}

async function own(group: Group, user: string): Promise<string> {
  return wireGroupInfo(await groupInfoOf(group.of(user)));
}

test('the first GroupInfo of an epoch stays: the same bytes are accepted again, and other bytes are refused', async () => {
  const group = await startGroup(service, ['alice', 'bob', 'carol'], OPTIONAL, { groupInfo: false });
  expect(verdict(await get(group.id, 'alice'))).toEqual([404, 'group-info-missing']);
  const [first, second] = [await own(group, 'bob'), await own(group, 'carol')];
  expect(first).not.toBe(second);
  expect(await put(group.id, 'bob', first)).toMatchObject({ status: 200, body: { epoch: 1 } });
  expect(await put(group.id, 'bob', first)).toMatchObject({ status: 200, body: { epoch: 1 } });
  expect(verdict(await put(group.id, 'carol', second))).toEqual([409, 'group-info-exists']);
  expect(await get(group.id, 'alice')).toMatchObject({ status: 200, body: { epoch: 1, groupInfo: first } });
});

test('an admin replaces the GroupInfo of an epoch, and the audit says so', async () => {
  const group = await startGroup(service, ['alice', 'bob'], OPTIONAL, { groupInfo: false });
  await put(group.id, 'bob', await own(group, 'bob'));
  const real = await own(group, 'alice');
  expect(await put(group.id, 'alice', real)).toMatchObject({ status: 200, body: { epoch: 1 } });
  expect((await get(group.id, 'bob')).body).toEqual({ epoch: 1, groupInfo: real });
  expect(await listAudit(database().pool, { conversation: group.id, limit: 10 })).toMatchObject([
    { actor: 'alice', action: 'group-info-replaced', details: { epoch: 1 } },
  ]);
});

test('the GroupInfo of the next commit always replaces that of the epoch before', async () => {
  const group = await startGroup(service, ['alice', 'bob'], OPTIONAL);
  const { body } = await makeBundle(group.of('bob'));
  expect(verdict(await commit(service, group.id, 'bob', body))).toEqual([200, undefined]);
  expect((await get(group.id, 'alice')).body).toEqual({ epoch: 2, groupInfo: body.groupInfo });
});

test('a GroupInfo of an opaque conversation belongs to the current epoch, and its bytes are not checked', async () => {
  const id = await createConversation(service, ['bob'], { protocol: 'opaque' });
  await service.ask(`POST /v1/conversations/${id}/members`, { user: 'alice', body: { users: ['carol'] } });
  expect(await put(id, 'alice', base64('first'))).toMatchObject({ status: 200, body: { epoch: 1 } });
  expect(verdict(await put(id, 'bob', base64('second')))).toEqual([409, 'group-info-exists']);
  expect((await get(id, 'carol')).body).toEqual({ epoch: 1, groupInfo: base64('first') });
  expect(verdict(await put(id, 'mallory', base64('third')))).toEqual([404, 'not-found']);
});

test('exactly one of many concurrent GroupInfos of members stays', async () => {
  const users = ['bob', 'carol', 'bob', 'carol', 'bob', 'carol'];
  const group = await startGroup(service, ['alice', 'bob', 'carol'], OPTIONAL, { groupInfo: false });
  const byBob = await own(group, 'bob');
  const byCarol = await own(group, 'carol');
  const infos = users.map((user) => (user === 'bob' ? byBob : byCarol));
  const answers = await Promise.all(users.map((user, i) => put(group.id, user, infos[i] ?? '')));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 409, 409, 409]);
  const [one, again] = [await get(group.id, 'alice'), await get(group.id, 'bob')];
  expect(infos).toContain(one.body.groupInfo);
  expect(again.body).toEqual(one.body);
});

test('a GroupInfo of another epoch than the current one is refused as stale or ahead', async () => {
  const group = await startGroup(service, ['alice', 'bob'], OPTIONAL, { groupInfo: false });
  const old = await own(group, 'alice');
  const next = await makeBundle(group.of('alice'));
  const ahead = await put(group.id, 'alice', next.body.groupInfo);
  expect(verdict(ahead)).toEqual([409, 'epoch-ahead']);
  expect(ahead.body).toMatchObject({ currentEpoch: 1, submittedEpoch: 2 });

  await commit(service, group.id, 'alice', { commit: next.body.commit });
  const stale = await put(group.id, 'alice', old);
  expect(verdict(stale)).toEqual([409, 'group-info-stale']);
  expect(stale.body).toMatchObject({ currentEpoch: 2, submittedEpoch: 1 });
  expect(verdict(await get(group.id, 'bob'))).toEqual([404, 'group-info-missing']);
  await deliver(group, 'alice', next);
  expect((await put(group.id, 'bob', await own(group, 'bob'))).status).toBe(200);
});

test('a supplied GroupInfo gets the same checks as one of a commit', async () => {
  const group = await startGroup(service, ['alice', 'bob'], OPTIONAL, { groupInfo: false });
  const elsewhere = await localGroup(['alice', 'bob']);
  const state = elsewhere.states.get('alice');
  if (state === undefined) throw new Error('alice has a state');
  const more = await makeBundle(group.of('alice'), [add(await newKeys('eve'))]);
  const info = await groupInfoOf(group.of('alice'));
  const signature = Uint8Array.from(info.signature, (byte, i) => (i === 5 ? byte ^ 1 : byte));
  expect(verdict(await put(group.id, 'alice', base64('noise')))).toEqual([400, 'malformed']);
  expect(verdict(await put(group.id, 'alice', more.body.commit))).toEqual([422, 'group-info-mismatch']);
  expect(verdict(await put(group.id, 'alice', wireGroupInfo({ ...info, signature })))).toEqual([
    422,
    'group-info-mismatch',
  ]);
  expect(verdict(await put(group.id, 'alice', wireGroupInfo(await groupInfoOf(state))))).toEqual([422, 'wrong-group']);
  // The request of this commit named no added user, but the tree of its maker contains one.
  await commit(service, group.id, 'alice', { commit: more.body.commit });
  expect(verdict(await put(group.id, 'alice', more.body.groupInfo))).toEqual([422, 'membership-mismatch']);
  expect(verdict(await get(group.id, 'alice'))).toEqual([404, 'group-info-missing']);
});

test('members can read the GroupInfo, and outsiders only if anyone may join', async () => {
  for (const [externalJoin, status] of [
    ['nobody', 404],
    ['member', 404],
    ['anyone', 200],
  ] as const) {
    const group = await startGroup(service, ['alice', 'bob'], { externalJoin });
    expect((await get(group.id, 'bob')).status).toBe(200);
    const outside = await get(group.id, 'mallory');
    expect(outside.status).toBe(status);
    if (status === 200) continue;
    const { requestId: _own, ...problem } = outside.body;
    const { requestId: _other, ...same } = (await get(newConversationId(), 'mallory')).body;
    expect(problem).toEqual(same);
  }
});

test('outsiders see only the GroupInfo of a conversation that anyone may join', async () => {
  const group = await startGroup(service, ['alice', 'bob'], { externalJoin: 'anyone' });
  const at = `/v1/conversations/${group.id}`;
  const other = newConversationId();
  const { body: update } = await makeBundle(group.of('alice'), [], { isPublic: true });
  const requests: [string, object?][] = [
    [`GET ${at}`],
    [`GET ${at}/epoch`],
    [`GET ${at}/members`],
    [`GET ${at}/messages`],
    [`PATCH ${at}`, { policy: { whoMayAdd: 'nobody' } }],
    [`DELETE ${at}`],
    [`POST ${at}/commits`, update],
    [`POST ${at}/commits`, { commit: base64('noise') }],
    [`POST ${at}/members`, { users: ['eve'], commit: update.commit }],
    [`PUT ${at}/group-info`, { groupInfo: await own(group, 'alice') }],
    [`POST ${at}/reports`, { seq: 1, epoch: 1, reason: 'no' }],
    [`POST ${at}/reset`, { successor: other }],
    [`POST ${at}/read`],
  ];
  for (const [what, body] of requests) {
    const answer = await service.ask(what, { user: 'mallory', body });
    const nowhere = await service.ask(what.replace(group.id, other), { user: 'mallory', body });
    const { requestId: _own, ...problem } = answer.body;
    const { requestId: _other, ...same } = nowhere.body;
    expect([what, answer.status, problem]).toEqual([what, 404, same]);
  }
});

test('users whom somebody else removed cannot read the GroupInfo, and users who left can if anyone may join', async () => {
  const group = await startGroup(service, ['alice', 'bob', 'carol'], { externalJoin: 'anyone' });
  const bundle = await makeBundle(group.of('alice'), removalOf(group.of('alice'), 'bob'));
  expect((await commit(service, group.id, 'alice', { ...bundle.body, removes: ['bob'] })).status).toBe(200);
  expect(verdict(await get(group.id, 'bob'))).toEqual([403, 'removed']);
  await service.ask(`DELETE /v1/conversations/${group.id}/members/carol`, { user: 'carol' });
  expect((await get(group.id, 'carol')).status).toBe(200);

  const closed = await startGroup(service, ['alice', 'bob']);
  await service.ask(`DELETE /v1/conversations/${closed.id}/members/bob`, { user: 'bob' });
  expect(verdict(await get(closed.id, 'bob'))).toEqual([403, 'removed']);
});
