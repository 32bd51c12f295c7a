import { type ClientState, createGroup } from 'ts-mls';
import { expect, test } from 'vitest';
import { groupInfo, privateMessage } from '../../harness/api/frames.ts';
import type { Answer } from '../../../tools/harness/answer.ts';
import { base64 } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';
import {
  SUITE,
  add,
  commit,
  groupInfoOf,
  localGroup,
  makeBundle,
  makeExternal,
  newKeys,
  removalOf,
  startGroup,
  verdict,
  wire,
  wireGroupInfo,
} from '../../harness/mls/group.ts';

const { service } = useApi();

const USERS = ['alice', 'bob', 'carol'];

function reset(id: string, user: string, successor: string): Promise<Answer> {
  return service.ask(`POST /v1/conversations/${id}/reset`, { user, body: { successor } });
}

function supply(id: string, user: string, info: string): Promise<Answer> {
  return service.ask(`PUT /v1/conversations/${id}/group-info`, { user, body: { groupInfo: info } });
}

/** Makes a conversation that alice has reset to a successor in which she is still alone. */
async function successor(): Promise<{ old: string; id: string; state: ClientState }> {
  const { id: old } = await startGroup(service, USERS);
  for (const user of ['bob', 'carol']) {
    const body = { id: user, ciphertext: base64(privateMessage(old, 1)) };
    expect((await service.ask(`POST /v1/conversations/${old}/messages`, { user, body })).status).toBe(200);
  }
  const { id, states } = await localGroup(['alice']);
  const state = states.get('alice');
  if (state === undefined) throw new Error('alice has a state');
  expect((await reset(old, 'alice', id)).status).toBe(201);
  return { old, id, state };
}

async function members(id: string): Promise<unknown> {
  const { body } = await service.ask(`GET /v1/conversations/${id}/members`, { user: 'alice' });
  return (body.members as { user: string }[]).map(({ user }) => user);
}

test('members without a leaf in the new group can neither write to it nor supply its GroupInfo', async () => {
  const { id, state } = await successor();
  const at = `/v1/conversations/${id}`;
  const commitFrame = base64(privateMessage(id, 0, 'commit'));
  const message = (n: number): object => ({ id: `m${n}`, ciphertext: base64(privateMessage(id, 0)) });
  const refused: [string, object][] = [
    [`POST ${at}/messages`, message(0)],
    [`POST ${at}/messages`, { id: 'p', ciphertext: base64(privateMessage(id, 0, 'proposal')) }],
    [`POST ${at}/commits`, { commit: commitFrame, groupInfo: base64(groupInfo(id, 1)) }],
    [`POST ${at}/commits`, { commit: commitFrame, groupInfo: base64(groupInfo(id, 1)), removes: ['alice'] }],
    [`PUT ${at}/group-info`, { groupInfo: wireGroupInfo(await groupInfoOf(await stranger(id))) }],
  ];
  for (const [what, body] of refused) {
    expect([what, ...verdict(await service.ask(what, { user: 'carol', body }))]).toEqual([what, 403, 'not-allowed']);
  }
  const list = { messages: Array.from({ length: 12 }, (_, n) => message(n)) };
  const answer = await service.ask(`POST ${at}/messages`, { user: 'carol', body: list });
  expect((answer.body.results as { code: string }[]).every(({ code }) => code === 'not-allowed')).toBe(true);
  // Alice can continue, and may leave out any members.
  expect((await supply(id, 'alice', wireGroupInfo(await groupInfoOf(state)))).status).toBe(200);
  const bob = await newKeys('bob');
  const keyPackage = wire({ wireformat: 'mls_key_package', keyPackage: bob.publicPackage });
  await service.ask('PUT /v1/key-packages', { user: 'bob', body: { keyPackages: [keyPackage] } });
  await service.ask('POST /v1/users/bob/key-packages/claim', { user: 'alice', body: {} });
  const first = (await makeBundle(state, [add(bob)])).body;
  const body = { ...first, adds: ['bob'], removes: ['carol'] };
  expect(verdict(await commit(service, id, 'alice', body))).toEqual([200, undefined]);
  expect(await members(id)).toEqual(['alice', 'bob']);
});

test('members without a leaf decide nothing for the others: one gate refuses every operation but a few', async () => {
  const { old, id } = await successor();
  const at = `/v1/conversations/${id}`;
  const next = newConversationId();
  // Carol is an admin, and still has no leaf.
  expect((await service.ask(`PUT ${at}/members/carol/role`, { user: 'alice', body: { role: 'admin' } })).status).toBe(
    200,
  );
  const refused: [string, object?][] = [
    [`PATCH ${at}`, { policy: { whoMayAdd: 'nobody' } }],
    [`PUT ${at}/members/bob/role`, { role: 'admin' }],
    [`POST ${at}/members/alice/bar`],
    [`DELETE ${at}/members/alice/bar`],
    [`POST ${at}/unread`, { by: 1 }],
    [`POST ${at}/reset`, { successor: next }],
    [`DELETE ${at}`],
    [`POST ${at}/members/alice/remove`, { commit: base64(privateMessage(id, 0, 'commit')) }],
    [`POST ${at}/members/carol/remove`, { proposal: base64(privateMessage(id, 0, 'proposal')) }],
  ];
  for (const [what, body] of refused) {
    const answer = await service.ask(what, { user: 'carol', body });
    expect([what, ...verdict(answer)]).toEqual([what, 403, 'not-allowed']);
  }
  const allowed: [string, object?][] = [
    [`GET ${at}/messages`],
    [`GET ${at}/members`],
    [`POST ${at}/read`, {}],
    [`POST ${at}/reports`, { seq: 0, epoch: 0, reason: 'nobody lets me in' }],
    [`DELETE ${at}/members/carol`],
  ];
  for (const [what, body] of allowed) {
    expect([what, (await service.ask(what, { user: 'carol', body })).status]).toEqual([what, 200]);
  }
  expect((await service.ask(`GET /v1/conversations/${old}`, { user: 'carol' })).status).toBe(200);
});

test('members with a pending join join by an external commit and are then ordinary members', async () => {
  const { id, state } = await successor();
  await supply(id, 'alice', wireGroupInfo(await groupInfoOf(state)));
  const joined = await makeExternal(await groupInfoOf(state), await newKeys('carol'));
  expect(verdict(await commit(service, id, 'carol', joined.body))).toEqual([200, undefined]);
  const sent = await service.ask(`POST /v1/conversations/${id}/messages`, {
    user: 'carol',
    body: { id: 'm', ciphertext: base64(privateMessage(id, 1)) },
  });
  expect(sent.status).toBe(200);
});

test('reports of the beginning of a new group that nobody joins open the next reset', async () => {
  const { id } = await successor();
  const report = (user: string, seq: number): Promise<Answer> =>
    service.ask(`POST /v1/conversations/${id}/reports`, { user, body: { seq, epoch: 0, reason: 'nobody is here' } });
  expect(verdict(await report('bob', 1))).toEqual([400, 'malformed']);
  expect((await report('bob', 0)).body).toEqual({ reports: 1, needed: 2, open: false });
  expect((await report('carol', 0)).body).toEqual({ reports: 2, needed: 2, open: true });
  expect((await reset(id, 'carol', newConversationId())).status).toBe(201);
});

test('users with a pending removal are no members of the successor', async () => {
  const { id } = await startGroup(service, USERS);
  await service.ask(`DELETE /v1/conversations/${id}/members/carol`, { user: 'carol' });
  const next = newConversationId();
  expect((await reset(id, 'alice', next)).status).toBe(201);
  expect(await members(next)).toEqual(['alice', 'bob']);
  expect(verdict(await service.ask(`GET /v1/conversations/${next}`, { user: 'carol' }))).toEqual([404, 'not-found']);
});

test('exactly one of many concurrent resets counts, and all answers name it', async () => {
  const { id } = await startGroup(service, USERS);
  await service.ask(`PUT /v1/conversations/${id}/members/bob/role`, { user: 'alice', body: { role: 'admin' } });
  const tries = await Promise.all(['alice', 'bob', 'alice', 'bob'].map((one) => reset(id, one, newConversationId())));
  const won = tries.filter(({ status }) => status === 201);
  expect(won).toHaveLength(1);
  const chosen = String(won[0]?.body.successor);
  for (const lost of tries.filter(({ status }) => status !== 201)) {
    expect([...verdict(lost), lost.body.successor]).toEqual([410, 'superseded', chosen]);
  }
  // Any member may repeat the same reset.
  expect((await reset(id, 'carol', chosen)).status).toBe(200);
  const view = await service.ask(`GET /v1/conversations/${id}`, { user: 'carol' });
  expect(view.body.successor).toBe(chosen);
});

test('the old group answers every write of a member with its successor and reveals nothing to outsiders', async () => {
  const group = await startGroup(service, [...USERS, 'dave'], { externalJoin: 'anyone' });
  const at = `/v1/conversations/${group.id}`;
  const next = newConversationId();
  const own = await makeBundle(group.of('bob'));
  const removal = await makeBundle(group.of('alice'), removalOf(group.of('alice'), 'bob'));
  const external = await makeExternal(await groupInfoOf(group.of('bob')), await newKeys('mallory'));
  const resync = await makeExternal(await groupInfoOf(group.of('bob')), await newKeys('bob'), 'bob');
  const proposal = base64(privateMessage(group.id, 1, 'proposal'));
  const messages = Array.from({ length: 10 }, (_, n) => ({
    id: `l${n}`,
    ciphertext: base64(privateMessage(group.id, 1)),
  }));
  expect((await reset(group.id, 'alice', next)).status).toBe(201);
  const writes: [string, string, object][] = [
    ['bob', `POST ${at}/messages`, { id: 'x', ciphertext: base64(privateMessage(group.id, 1)) }],
    ['bob', `POST ${at}/messages`, { id: 'p', ciphertext: proposal }],
    ['bob', `POST ${at}/commits`, own.body],
    ['bob', `POST ${at}/commits`, resync.body],
    ['bob', `PUT ${at}/group-info`, { groupInfo: wireGroupInfo(await groupInfoOf(group.of('bob'))) }],
    ['alice', `PUT ${at}/members/bob/role`, { role: 'admin' }],
    ['alice', `POST ${at}/members`, { users: ['erin'], commit: own.body.commit }],
    ['alice', `POST ${at}/members/bob/remove`, { commit: removal.body.commit, groupInfo: removal.body.groupInfo }],
    ['bob', `POST ${at}/members/bob/remove`, { proposal }],
    ['bob', `POST ${at}/unread`, { by: 1 }],
    ['bob', `POST ${at}/reset`, { successor: newConversationId() }],
  ];
  for (const [user, what, body] of writes) {
    const answer = await service.ask(what, { user, body });
    expect([what, ...verdict(answer), answer.body.successor]).toEqual([what, 410, 'superseded', next]);
  }
  const list = await service.ask(`POST ${at}/messages`, { user: 'bob', body: { messages } });
  expect((list.body.results as { code: string }[]).every(({ code }) => code === 'superseded')).toBe(true);
  expect(verdict(await commit(service, group.id, 'mallory', external.body))).toEqual([404, 'not-found']);
  // These requests still work.
  expect((await service.ask(`POST ${at}/read`, { user: 'bob', body: {} })).status).toBe(200);
  expect((await service.ask(`DELETE ${at}/members/dave`, { user: 'dave' })).status).toBe(200);
  expect((await service.ask(`DELETE ${at}`, { user: 'alice' })).status).toBe(204);
});

/** A group of the same id in which carol is alone. */
async function stranger(id: string): Promise<ClientState> {
  const { publicPackage, privatePackage } = await newKeys('carol');
  return createGroup(new Uint8Array(Buffer.from(id, 'base64url')), publicPackage, privatePackage, [], SUITE);
}
