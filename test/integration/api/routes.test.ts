import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { groupInfo, privateMessage, welcome } from '../../harness/api/frames.ts';
import { base64, createConversation } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';
import type { InProcessApi } from '../../../tools/harness/in-process-api.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';

const { service } = useApi();

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** 32 bytes as base64. */
const CHAIN = /^[\w+/]{43}=$/;

test('a conversation is created once, and a repeated request gets 200', async () => {
  const id = newConversationId();
  const body = {
    id,
    members: ['bob', 'carol', 'bob'],
    groupInfo: base64(groupInfo(id, 0)),
    policy: { epochWindow: 1, externalJoin: 'nobody' },
  };
  const created = await service.ask('POST /v1/conversations', { user: 'alice', body });
  expect(created.status).toBe(201);
  expect(created.headers.get('location')).toBe(`/v1/conversations/${id}`);
  expect(created.body).toEqual({
    id,
    protocol: 'mls',
    epoch: 0,
    lastSeq: 0,
    memberCount: 3,
    createdAt: expect.stringMatching(/Z$/) as string,
  });
  const reordered = {
    policy: { externalJoin: 'nobody', epochWindow: 1 },
    groupInfo: body.groupInfo,
    members: ['carol', 'alice', 'bob'],
    id,
  };
  const again = await service.ask('POST /v1/conversations', { user: 'alice', body: reordered });
  expect([again.status, again.body]).toEqual([200, created.body]);
});

test('a refused id reveals nothing about the conversation that has it', async () => {
  const id = await createConversation(service, ['bob']);
  for (const [user, body] of [
    ['alice', { id, members: ['carol'] }],
    ['bob', { id, members: ['alice'] }],
    ['mallory', { id }],
  ] as const) {
    const answer = await service.ask('POST /v1/conversations', { user, body });
    expect(answer.status).toBe(409);
    expect(Object.keys(answer.body).sort()).toEqual(['code', 'requestId', 'status', 'title', 'type']);
    expect(answer.body.code).toBe('conversation-exists');
  }
});

test('a conversation shows policy, role, membership intervals and unread count to its members', async () => {
  const id = await createConversation(service, ['bob'], { protocol: 'opaque' });
  await service.ask(`POST /v1/conversations/${id}/messages`, {
    user: 'alice',
    body: { id: 'm1', ciphertext: base64('x') },
  });
  const answer = await service.ask(`GET /v1/conversations/${id}`, { user: 'bob' });
  expect(answer.status).toBe(200);
  expect(answer.body).toMatchObject({
    id,
    protocol: 'opaque',
    epoch: 0,
    lastSeq: 1,
    memberCount: 2,
    role: 'member',
    unread: 1,
    periods: [{ from: 1 }],
    policy: { whoMayAdd: 'member', externalJoin: 'member', maxMembers: 1000, epochWindow: 2, lastAdmin: 'hand-over' },
  });
  const alice = await service.ask(`GET /v1/conversations/${id}`, { user: 'alice' });
  expect(alice.body).toMatchObject({ role: 'admin', unread: 0 });
});

test('the lists of conversations and members have pages', async () => {
  const user = `lister-${newConversationId()}`;
  const ids: string[] = [];
  for (let i = 0; i < 5; i++) ids.push(await createConversation(service, [user, 'zoë']));
  const found: string[] = [];
  let cursor: string | undefined;
  do {
    const query = cursor === undefined ? '' : `&cursor=${cursor}`;
    const answer = await service.ask(`GET /v1/conversations?limit=2${query}`, { user });
    found.push(...(answer.body.conversations as { id: string }[]).map((one) => one.id));
    cursor = answer.body.next as string | undefined;
  } while (cursor !== undefined);
  expect(found).toEqual(ids);

  const members = await service.ask(`GET /v1/conversations/${ids[0]}/members?limit=2`, { user });
  expect(members.body).toMatchObject({
    members: [
      { user: 'alice', role: 'admin', joinedSeq: 0, joinedEpoch: 0 },
      { user, role: 'member' },
    ],
    leaving: [],
  });
  const rest = await service.ask(
    `GET /v1/conversations/${ids[0]}/members?limit=2&cursor=${members.body.next as string}`,
    {
      user,
    },
  );
  expect(rest.body).toEqual({ members: [{ user: 'zoë', role: 'member', joinedSeq: 0, joinedEpoch: 0 }], leaving: [] });
});

test('messages of an MLS conversation have their epoch in the frame', async () => {
  const id = await createConversation(service, ['bob']);
  const frame = privateMessage(id, 0);
  const body = { id: 'm1', ciphertext: base64(frame) };
  const sent = await service.ask(`POST /v1/conversations/${id}/messages`, { user: 'alice', body });
  const chain = expect.stringMatching(CHAIN) as string;
  expect([sent.status, sent.body]).toEqual([
    200,
    { results: [{ id: 'm1', seq: 1, epoch: 0, status: 'accepted', chain }] },
  ]);
  const again = await service.ask(`POST /v1/conversations/${id}/messages`, {
    user: 'alice',
    body: { ...body, epoch: 0 },
  });
  expect(again.body).toEqual({ results: [{ id: 'm1', seq: 1, epoch: 0, status: 'duplicate', chain }] });

  const proposal = { id: 'p1', ciphertext: base64(privateMessage(id, 0, 'proposal')) };
  await service.ask(`POST /v1/conversations/${id}/messages`, { user: 'bob', body: proposal });
  const page = await service.ask(`GET /v1/conversations/${id}/messages`, { user: 'bob' });
  expect(page.body).toEqual({
    entries: [
      { seq: 1, kind: 'application', id: 'm1', epoch: 0, ciphertext: base64(frame), at: expect.any(String) as string },
      {
        seq: 2,
        kind: 'proposal',
        id: 'p1',
        epoch: 0,
        ciphertext: proposal.ciphertext,
        sender: 'bob',
        at: expect.any(String) as string,
      },
    ],
    lastSeq: 2,
  });
});

test('the messages of a list are decided in order, each one separately', async () => {
  const id = await createConversation(service, ['bob']);
  const messages = [
    { id: 'a', ciphertext: base64(privateMessage(id, 0)) },
    { id: 'b', ciphertext: base64(privateMessage(newConversationId(), 0)) },
    { id: 'c', ciphertext: base64(privateMessage(id, 0, 'commit')) },
    { id: 'd', ciphertext: base64(privateMessage(id, 7)) },
    { id: 'e', ciphertext: base64(privateMessage(id, 2n ** 60n)) },
    { id: 'f', ciphertext: base64('not a frame') },
    { id: 'g', ciphertext: base64(privateMessage(id, 0)) },
  ];
  const answer = await service.ask(`POST /v1/conversations/${id}/messages`, { user: 'bob', body: { messages } });
  expect(answer.status).toBe(200);
  expect(answer.body.results).toMatchObject([
    { id: 'a', seq: 1, status: 'accepted' },
    { id: 'b', status: 422, code: 'wrong-group', type: '/docs/problems/wrong-group' },
    { id: 'c', status: 422, code: 'wrong-content-type' },
    { id: 'd', status: 409, code: 'epoch-ahead', currentEpoch: 0, submittedEpoch: 7 },
    { id: 'e', status: 409, code: 'epoch-ahead', currentEpoch: 0, submittedEpoch: 2 ** 60 },
    { id: 'f', status: 400, code: 'malformed' },
    { id: 'g', seq: 2, status: 'accepted' },
  ]);
});

test('the log can be read by pages, by kind, and to its end', async () => {
  const id = await createConversation(service, ['bob'], { protocol: 'opaque' });
  const messages = Array.from({ length: 5 }, (_, i) => ({ id: `m${i}`, ciphertext: base64(`${i}`) }));
  await service.ask(`POST /v1/conversations/${id}/messages`, { user: 'alice', body: { messages } });
  await service.ask(`POST /v1/conversations/${id}/commits`, { user: 'alice', body: { commit: base64('c') } });
  const pages: unknown[] = [];
  let next: number | undefined = 0;
  while (next !== undefined) {
    const page = await service.ask(`GET /v1/conversations/${id}/messages?after=${next}&limit=4`, { user: 'bob' });
    pages.push((page.body.entries as { seq: number }[]).map(({ seq }) => seq));
    expect(page.body.lastSeq).toBe(6);
    next = page.body.next as number | undefined;
  }
  expect(pages).toEqual([
    [1, 2, 3, 4],
    [5, 6],
  ]);
  const commits = await service.ask(`GET /v1/conversations/${id}/messages?kind=commit`, { user: 'bob' });
  expect(commits.body.entries).toMatchObject([{ seq: 6, kind: 'commit', epoch: 0, sender: 'alice' }]);
});

test('a commit increases the epoch and adds users, and the answer to a lost commit has all it needs', async () => {
  const id = await createConversation(service, ['bob']);
  const commit = privateMessage(id, 0, 'commit');
  const body = {
    commit: base64(commit),
    adds: ['dave'],
    groupInfo: base64(groupInfo(id, 1)),
  };
  const accepted = await service.ask(`POST /v1/conversations/${id}/commits`, { user: 'alice', body });
  expect([accepted.status, accepted.body]).toEqual([
    200,
    {
      seq: 1,
      epoch: 1,
      sha256: sha256(commit),
      at: expect.stringMatching(/Z$/) as string,
      chain: expect.stringMatching(CHAIN) as string,
    },
  ]);
  // A retry of the same commit gets its answer, even with another Welcome and GroupInfo.
  const repeated = { ...body, welcome: base64(groupInfo(id, 1)), groupInfo: base64(groupInfo(id, 9)) };
  const again = await service.ask(`POST /v1/conversations/${id}/commits`, { user: 'alice', body: repeated });
  expect([again.status, again.body]).toEqual([200, accepted.body]);

  const lost = await service.ask(`POST /v1/conversations/${id}/commits`, {
    user: 'bob',
    body: { commit: base64(privateMessage(id, 0, 'commit')) },
  });
  expect(lost.status).toBe(409);
  expect(lost.body).toMatchObject({
    code: 'epoch-conflict',
    currentEpoch: 1,
    submittedEpoch: 0,
    winner: { seq: 1, sha256: sha256(commit) },
    after: 0,
  });

  const info = await service.ask(`GET /v1/conversations/${id}/group-info`, { user: 'dave' });
  expect(info.body).toEqual({ groupInfo: body.groupInfo, epoch: 1 });
});

test('a commit with parts that do not fit is refused as a whole', async () => {
  const id = await createConversation(service, ['bob']);
  const commit = base64(privateMessage(id, 0, 'commit'));
  const post = async (more: object): Promise<[number, unknown]> => {
    const answer = await service.ask(`POST /v1/conversations/${id}/commits`, {
      user: 'alice',
      body: { commit, ...more },
    });
    return [answer.status, answer.body.code];
  };
  expect(await post({ adds: ['dave'], welcome: base64(groupInfo(id, 1)) })).toEqual([422, 'welcome-mismatch']);
  expect(await post({ groupInfo: base64(welcome()) })).toEqual([422, 'group-info-mismatch']);
  expect(await post({ groupInfo: base64(groupInfo(id, 2)) })).toEqual([422, 'group-info-mismatch']);
  expect(await post({ groupInfo: base64(groupInfo(newConversationId(), 1)) })).toEqual([422, 'wrong-group']);
  expect(await post({ groupInfo: base64('nothing') })).toEqual([400, 'malformed']);
  expect(await post({ epoch: 3 })).toEqual([400, 'malformed']);
  expect(await post({ commit: base64(privateMessage(id, 0)) })).toEqual([422, 'wrong-content-type']);
  expect(await post({ commit: base64(welcome()) })).toEqual([422, 'wrong-content-type']);
  const conversation = await service.ask(`GET /v1/conversations/${id}`, { user: 'alice' });
  expect(conversation.body).toMatchObject({ epoch: 0, lastSeq: 0 });
});

test('ten opaque adds without a commit get epochs 1 to 10', async () => {
  const id = await createConversation(service, [], { protocol: 'opaque' });
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, i) =>
      service.ask(`POST /v1/conversations/${id}/members`, { user: 'alice', body: { users: [`user-${i}`] } }),
    ),
  );
  expect(answers.map((answer) => answer.body.epoch as number).sort((a, b) => a - b)).toEqual([
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
  ]);
  const again = await service.ask(`POST /v1/conversations/${id}/members`, {
    user: 'alice',
    body: { users: ['user-1'] },
  });
  expect([again.status, again.body]).toEqual([200, { epoch: 10, seq: 10 }]);
});

test('adding and removing in MLS needs a commit', async () => {
  const id = await createConversation(service, ['bob']);
  const add = await service.ask(`POST /v1/conversations/${id}/members`, { user: 'alice', body: { users: ['dave'] } });
  expect([add.status, add.body.code]).toEqual([422, 'commit-required']);
  const remove = await service.ask(`DELETE /v1/conversations/${id}/members/bob`, { user: 'alice' });
  expect([remove.status, remove.body.code]).toEqual([422, 'commit-required']);
  const commit = base64(privateMessage(id, 0, 'commit'));
  const removed = await service.ask(`POST /v1/conversations/${id}/members/bob/remove`, {
    user: 'alice',
    body: { commit },
  });
  expect([removed.status, removed.body]).toEqual([200, { epoch: 1, seq: 1 }]);
});

test('a removed member reads up to its removal, and later requests are refused as `removed`', async () => {
  const id = await createConversation(service, ['bob'], { protocol: 'opaque' });
  const send = (user: string, message: string): ReturnType<InProcessApi['ask']> =>
    service.ask(`POST /v1/conversations/${id}/messages`, { user, body: { id: message, ciphertext: base64(message) } });
  await send('bob', 'm1');
  const removed = await service.ask(`DELETE /v1/conversations/${id}/members/bob`, { user: 'alice' });
  expect(removed.body).toEqual({ epoch: 1, seq: 2 });
  await send('alice', 'm3');

  const page = await service.ask(`GET /v1/conversations/${id}/messages`, { user: 'bob' });
  expect((page.body.entries as { seq: number }[]).map(({ seq }) => seq)).toEqual([1, 2]);
  expect(page.body).toMatchObject({ lastSeq: 2 });
  const routes = [
    `GET /v1/conversations/${id}/messages?after=2`,
    `GET /v1/conversations/${id}/epoch`,
    `GET /v1/conversations/${id}/members`,
    `GET /v1/conversations/${id}/group-info`,
    `POST /v1/conversations/${id}/read`,
    `POST /v1/conversations/${id}/unread`,
  ];
  for (const route of routes) {
    const answer = await service.ask(route, { user: 'bob' });
    expect([route, answer.status, answer.body]).toMatchObject([route, 403, { code: 'removed', seq: 2 }]);
  }
  expect((await send('bob', 'm1')).body.results).toMatchObject([{ status: 'duplicate', seq: 1 }]);
  expect((await send('bob', 'm4')).body).toMatchObject({ code: 'removed', seq: 2 });
  const view = await service.ask(`GET /v1/conversations/${id}`, { user: 'bob' });
  expect(view.body).toMatchObject({ role: 'removed', epoch: 1, lastSeq: 2, unread: 0, periods: [{ from: 1, to: 2 }] });
});

test('a user who leaves has a pending removal until a commit removes it', async () => {
  const id = await createConversation(service, ['bob']);
  const own = await service.ask(`DELETE /v1/conversations/${id}/members/bob`, {
    user: 'bob',
    body: { commit: base64(privateMessage(id, 0, 'commit')) },
  });
  expect([own.status, own.body.code]).toEqual([400, 'malformed']);
  const body = { proposal: base64(privateMessage(id, 0, 'proposal')) };
  const left = await service.ask(`DELETE /v1/conversations/${id}/members/bob`, { user: 'bob', body });
  expect([left.status, left.body]).toEqual([200, { epoch: 0, seq: 1 }]);
  const again = await service.ask(`POST /v1/conversations/${id}/members/bob/remove`, { user: 'bob', body });
  expect([again.status, again.body]).toEqual([200, { epoch: 0, seq: 1 }]);
  const members = await service.ask(`GET /v1/conversations/${id}/members`, { user: 'alice' });
  expect(members.body).toMatchObject({ members: [{ user: 'alice' }], leaving: ['bob'] });
});

test('the epoch has an entity tag', async () => {
  const id = await createConversation(service, [], { protocol: 'opaque' });
  const first = await service.ask(`GET /v1/conversations/${id}/epoch`, { user: 'alice' });
  expect([first.status, first.body, first.headers.get('etag')]).toEqual([200, { epoch: 0 }, '"0"']);
  const ask = async (header: string): Promise<number> => {
    const headers = { 'if-none-match': header };
    return (await service.ask(`GET /v1/conversations/${id}/epoch`, { user: 'alice', headers })).status;
  };
  expect(await Promise.all(['"0"', 'W/"0"', '"7", "0"', '*', '"1"'].map(ask))).toEqual([304, 304, 304, 304, 200]);
});

test('reading and increments change the unread count', async () => {
  const id = await createConversation(service, ['bob'], { protocol: 'opaque' });
  const messages = ['a', 'b', 'c'].map((name) => ({ id: name, ciphertext: base64(name) }));
  await service.ask(`POST /v1/conversations/${id}/messages`, { user: 'alice', body: { messages } });
  const read = (body: object | undefined): ReturnType<InProcessApi['ask']> =>
    service.ask(`POST /v1/conversations/${id}/read`, { user: 'bob', body });
  expect((await read({ seq: 2 })).body).toEqual({ unread: 1 });
  expect((await read({ seq: 1 })).body).toEqual({ unread: 1 });
  expect((await read({ seq: 99 })).body).toEqual({ unread: 0 });
  expect((await read(undefined)).body).toEqual({ unread: 0 });
  const answer = await service.ask(`POST /v1/conversations/${id}/unread`, { user: 'alice', body: { by: 3, id: 'i1' } });
  expect([answer.status, answer.body]).toEqual([202, { id: 'i1' }]);
  expect(service.increments.at(-1)).toMatchObject({
    conversation: id,
    command: { actor: 'alice', by: 3, id: 'i1' },
  });
});

test('admins change roles and policy and delete the conversation', async () => {
  const id = await createConversation(service, ['bob'], { protocol: 'opaque' });
  const at = `/v1/conversations/${id}`;
  const role = { role: 'admin' };
  expect((await service.ask(`PUT ${at}/members/alice/role`, { user: 'bob', body: role })).body.code).toBe(
    'not-allowed',
  );
  expect((await service.ask(`PUT ${at}/members/nobody/role`, { user: 'alice', body: role })).status).toBe(404);
  const promoted = await service.ask(`PUT ${at}/members/bob/role`, { user: 'alice', body: role });
  expect([promoted.status, promoted.body]).toEqual([200, { user: 'bob', role: 'admin' }]);

  const patched = await service.ask(`PATCH ${at}`, {
    user: 'bob',
    body: { policy: { whoMayAdd: 'admin', retentionDays: 3 } },
  });
  expect(patched.body.policy).toMatchObject({ whoMayAdd: 'admin', retentionDays: 3, whoMayRemove: 'member' });
  const forever = await service.ask(`PATCH ${at}`, { user: 'bob', body: { policy: { retentionDays: null } } });
  expect(forever.body.policy).not.toHaveProperty('retentionDays');

  expect((await service.ask(`DELETE ${at}`, { user: 'alice' })).status).toBe(204);
  expect((await service.ask(`GET ${at}`, { user: 'alice' })).status).toBe(404);
});

test('a stream starts at the position that the client states', async () => {
  const id = await createConversation(service);
  const open = async (query: string, headers: Record<string, string> = {}): Promise<unknown> => {
    const answer = await service.ask(`GET /v1/conversations/${id}/events${query}`, { user: 'alice', headers });
    return answer.status === 200 ? (service.streams.at(-1) as { after: unknown }).after : answer.body.code;
  };
  expect(await open('')).toBe(0);
  expect(await open('?after=5')).toBe(5);
  expect(await open('?after=latest')).toBe('latest');
  expect(await open('?after=5', { 'last-event-id': '9' })).toBe(9);
  expect(await open('?after=soon')).toBe('malformed');
  expect(await open('', { 'last-event-id': 'x' })).toBe('malformed');
});

test('the account stream belongs to the device of the token', async () => {
  expect((await service.ask('GET /v1/events', { user: 'alice' })).status).toBe(200);
  expect(service.streams.at(-1)).toMatchObject({ target: { user: 'alice', device: 'default' } });
  expect((await service.ask('GET /v1/events')).status).toBe(401);
});

test('operators see and change the path', async () => {
  const asUser = await service.ask('GET /v1/admin/path', { user: 'alice' });
  expect([asUser.status, asUser.body.code]).toEqual([403, 'not-allowed']);
  const put = await service.ask('PUT /v1/admin/path', { user: 'operator', body: { path: 'direct', rollout: 10 } });
  expect([put.status, put.body]).toEqual([200, { path: 'direct', rollout: 10 }]);
  expect((await service.ask('GET /v1/admin/path', { user: 'operator' })).body).toMatchObject({
    path: 'direct',
    rollout: 10,
    controller: { state: 'normal', breaker: 'closed', limit: 8, inFlight: 0, share: 1, wedged: [] },
  });
});
