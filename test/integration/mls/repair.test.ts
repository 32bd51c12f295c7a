import { expect, test } from 'vitest';
import type { Answer } from '../../../tools/harness/answer.ts';
import { privateMessage } from '../../harness/api/frames.ts';
import { base64, createConversation } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import {
  commit,
  groupInfoOf,
  localGroup,
  makeBundle,
  startGroup,
  verdict,
  wireGroupInfo,
} from '../../harness/mls/group.ts';

const { database, service } = useApi();

const STUCK = { seq: 1, epoch: 1, reason: 'No overlap between provided private keys' };

/** A conversation with one entry that nobody can process. All members have acted, as far as the service can see. */
async function stuckConversation(members: readonly string[] = []): Promise<string> {
  const id = await createConversation(service, members);
  const answer = await commit(service, id, 'alice', { commit: base64(privateMessage(id, 0, 'commit')) });
  expect(answer.status).toBe(200);
  await speak(id, members);
  return id;
}

/** Each of these members sends a message. */
async function speak(id: string, members: readonly string[]): Promise<void> {
  for (const user of members) {
    const body = { id: `hello-${user}`, ciphertext: base64(privateMessage(id, 0)) };
    expect((await service.ask(`POST /v1/conversations/${id}/messages`, { user, body })).status).toBe(200);
  }
}

function report(id: string, user: string, change: object = {}): Promise<Answer> {
  return service.ask(`POST /v1/conversations/${id}/reports`, { user, body: { ...STUCK, ...change } });
}

function reset(id: string, user: string, successor: string): Promise<Answer> {
  return service.ask(`POST /v1/conversations/${id}/reset`, { user, body: { successor } });
}

test('reports of more than half of the members open a reset, and each member counts once', async () => {
  const id = await stuckConversation(['bob', 'carol', 'dave']);
  expect((await report(id, 'bob')).body).toEqual({ reports: 1, needed: 3, open: false });
  expect((await report(id, 'bob', { reason: 'still stuck' })).body).toEqual({ reports: 1, needed: 3, open: false });
  expect((await report(id, 'carol')).body).toEqual({ reports: 2, needed: 3, open: false });
  expect(verdict(await reset(id, 'carol', newConversationId()))).toEqual([403, 'not-allowed']);
  const epochAuthenticator = base64(Buffer.alloc(32, 7));
  expect((await report(id, 'dave', { epochAuthenticator })).body).toEqual({ reports: 3, needed: 3, open: true });
  expect((await reset(id, 'carol', newConversationId())).status).toBe(201);
});

test('a reset stays open for as long as more than half of the members are stuck', async () => {
  const id = await stuckConversation(['bob', 'carol']);
  await report(id, 'bob');
  expect((await report(id, 'carol')).body).toMatchObject({ open: true });
  const listed = async (): Promise<string[]> => {
    const { body } = await service.ask('GET /v1/admin/conversations?state=reset-open&limit=1000', { user: 'operator' });
    return (body.conversations as { id: string }[]).map((one) => one.id);
  };
  expect(await listed()).toContain(id);
  // An accepted commit clears the report of its sender.
  const next = { commit: base64(privateMessage(id, 1, 'commit')) };
  expect((await commit(service, id, 'carol', next)).status).toBe(200);
  expect(await listed()).not.toContain(id);
  expect(verdict(await reset(id, 'bob', newConversationId()))).toEqual([403, 'not-allowed']);
  expect((await report(id, 'carol')).body).toMatchObject({ reports: 2, open: true });
  // Reports count for a week, and only while their user is a member.
  await database().pool.query(
    `update report set at = at - interval '8 days' where user_id = 'bob'
       and conversation = (select key from conversation where id = $1)`,
    [id],
  );
  expect(verdict(await reset(id, 'carol', newConversationId()))).toEqual([403, 'not-allowed']);
  expect((await report(id, 'bob')).body).toMatchObject({ reports: 2, open: true });
  await service.ask(`DELETE /v1/conversations/${id}/members/carol`, { user: 'carol' });
  expect((await report(id, 'bob')).body).toEqual({ reports: 1, needed: 2, open: false });
  const afterwards = [await report(id, 'carol'), await reset(id, 'carol', newConversationId())];
  expect(afterwards.map(verdict)).toEqual(Array(2).fill([403, 'removed']));
});

test('a user cannot report an entry from before its join', async () => {
  const id = await stuckConversation(['bob']);
  const adds = { commit: base64(privateMessage(id, 1, 'commit')), adds: ['erin'] };
  expect((await commit(service, id, 'alice', adds)).status).toBe(200);
  expect(verdict(await report(id, 'erin', { seq: 1, epoch: 0 }))).toEqual([400, 'malformed']);
  expect((await report(id, 'erin', { seq: 3, epoch: 1 })).status).toBe(200);
});

test('reports of several devices of a user count once', async () => {
  const id = await stuckConversation(['bob', 'carol']);
  const of = async (device: string): Promise<Answer> => {
    const headers = { Authorization: `Bearer ${await tokenOf('bob', { device })}` };
    return service.ask(`POST /v1/conversations/${id}/reports`, { headers, body: STUCK });
  };
  expect((await of('phone')).body).toMatchObject({ reports: 1 });
  expect((await of('laptop')).body).toMatchObject({ reports: 1 });
});

test('an admin may reset at any time, and a repeated reset gets the same answer', async () => {
  const id = await createConversation(service, ['bob']);
  const successor = newConversationId();
  const done = await reset(id, 'alice', successor);
  expect([done.status, done.body]).toEqual([201, { successor }]);
  expect(done.headers.get('location')).toBe(`/v1/conversations/${successor}`);
  const again = await reset(id, 'alice', successor);
  expect([again.status, again.body]).toEqual([200, { successor }]);
  const other = await reset(id, 'alice', newConversationId());
  expect(verdict(other)).toEqual([410, 'superseded']);
  expect(other.body).toMatchObject({ successor });
});

test('the successor has the members, roles, policy and protocol of the old one, and epoch 0', async () => {
  const id = await createConversation(service, ['bob', 'carol'], { policy: { whoMayAdd: 'admin', maxMembers: 7 } });
  await service.ask(`PUT /v1/conversations/${id}/members/bob/role`, { user: 'alice', body: { role: 'admin' } });
  const old = await service.ask(`GET /v1/conversations/${id}`, { user: 'carol' });
  const successor = newConversationId();
  expect((await reset(id, 'bob', successor)).status).toBe(201);
  const fresh = await service.ask(`GET /v1/conversations/${successor}`, { user: 'carol' });
  expect(fresh.body).toMatchObject({ epoch: 0, lastSeq: 0, memberCount: 3, protocol: 'mls', policy: old.body.policy });
  const { body } = await service.ask(`GET /v1/conversations/${successor}/members`, { user: 'carol' });
  expect((body.members as { user: string; role: string }[]).map(({ user, role }) => [user, role])).toEqual([
    ['alice', 'admin'],
    ['bob', 'admin'],
    ['carol', 'member'],
  ]);
});

test('the old conversation stays readable, and answers writes with its successor', async () => {
  const id = await createConversation(service, ['bob'], { protocol: 'opaque' });
  await service.ask(`POST /v1/conversations/${id}/messages`, {
    user: 'bob',
    body: { id: 'm', ciphertext: base64('x') },
  });
  const successor = newConversationId();
  await reset(id, 'alice', successor);
  const at = `/v1/conversations/${id}`;
  const writes: [string, object][] = [
    [`POST ${at}/messages`, { id: 'n', ciphertext: base64('y') }],
    [`POST ${at}/commits`, { commit: base64('c'), epoch: 0, id: 'c' }],
    [`POST ${at}/members`, { users: ['carol'] }],
    [`POST ${at}/reports`, STUCK],
    [`PATCH ${at}`, { policy: { whoMayAdd: 'nobody' } }],
  ];
  for (const [what, body] of writes) {
    const answer = await service.ask(what, { user: 'alice', body });
    expect([what, ...verdict(answer)]).toEqual([what, 410, 'superseded']);
    expect(answer.body).toMatchObject({ successor });
  }
  const page = await service.ask(`GET ${at}/messages`, { user: 'alice' });
  expect(page.body.entries).toMatchObject([{ seq: 1, id: 'm' }]);
  // What was accepted before still has its answer (invariant 3).
  const retry = { id: 'm', ciphertext: base64('x') };
  expect((await service.ask(`POST ${at}/messages`, { user: 'bob', body: retry })).status).toBe(200);
});

test('a successor id that is in use is refused, and the old conversation continues', async () => {
  const id = await stuckConversation(['bob']);
  const taken = await createConversation(service);
  expect(verdict(await reset(id, 'alice', taken))).toEqual([409, 'conversation-exists']);
  expect(verdict(await reset(id, 'alice', id))).toEqual([409, 'conversation-exists']);
  expect(verdict(await reset(id, 'alice', 'q83v'))).toEqual([400, 'malformed']);
  expect((await report(id, 'bob')).status).toBe(200);
});

test('a reset repairs a group whose epoch in the service is ahead of all its members', async () => {
  const users = ['alice', 'bob', 'carol'];
  const group = await startGroup(service, users);
  await speak(group.id, ['bob']);
  // Carol sends a commit that nobody can process. The service is at epoch 2, and all members stay at epoch 1.
  const poison = await makeBundle(group.of('carol'));
  expect((await commit(service, group.id, 'carol', poison.body)).status).toBe(200);
  const stuck = await makeBundle(group.of('alice'));
  expect(verdict(await commit(service, group.id, 'alice', stuck.body))).toEqual([409, 'epoch-conflict']);

  await report(group.id, 'bob');
  expect((await report(group.id, 'alice')).body).toMatchObject({ open: true });
  const fresh = await localGroup(['bob']);
  expect((await reset(group.id, 'bob', fresh.id)).status).toBe(201);
  // Bob begins the new group alone. The others have a pending join until his commits add them.
  const state = fresh.states.get('bob');
  if (state === undefined) throw new Error('bob has a state');
  const groupInfo = wireGroupInfo(await groupInfoOf(state));
  const supplied = await service.ask(`PUT /v1/conversations/${fresh.id}/group-info`, {
    user: 'bob',
    body: { groupInfo },
  });
  expect(supplied).toMatchObject({ status: 200, body: { epoch: 0 } });
  const first = await makeBundle(state);
  expect(verdict(await commit(service, fresh.id, 'bob', first.body))).toEqual([200, undefined]);
});

test('reports and resets are recorded for operators', async () => {
  const id = await stuckConversation(['bob']);
  await report(id, 'bob');
  await reset(id, 'alice', newConversationId());
  const { body } = await service.ask(`GET /v1/admin/audit?conversation=${id}`, { user: 'operator' });
  const entries = body.entries as { action: string; actor: string; conversation: string }[];
  expect(entries.map(({ action }) => action)).toEqual(expect.arrayContaining(['report', 'reset']));
  expect(entries.every(({ conversation }) => conversation === id)).toBe(true);
});

test.each([
  ['a reason with a line break', { reason: 'a\nb' }],
  ['no reason', { reason: '' }],
  ['a reason that is too long', { reason: 'x'.repeat(501) }],
  ['no entry', { seq: -1 }],
  ['an entry that does not exist', { seq: 2 }],
  ['an invalid authenticator', { epochAuthenticator: base64(Buffer.alloc(65)) }],
  ['an unknown field', { why: 'x' }],
])('a report with %s is malformed', async (_what, change) => {
  const id = await stuckConversation();
  expect(verdict(await report(id, 'alice', change))).toEqual([400, 'malformed']);
});
