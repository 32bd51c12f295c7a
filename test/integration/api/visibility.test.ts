import { expect, test } from 'vitest';
import { makeRoutes } from '../../../api/app.ts';
import { externalCommit, groupInfo, privateMessage, welcome } from '../../harness/api/frames.ts';
import { base64, createConversation } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { type InProcessApi, appDeps } from '../../../tools/harness/in-process-api.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';

const { database, service } = useApi();

/** All requests for a conversation, well formed or with a frame that does not fit. */
function requests(id: string): [what: string, body?: unknown][] {
  const at = `/v1/conversations/${id}`;
  const other = newConversationId();
  const message = (ciphertext: Buffer): object => ({ id: 'm', ciphertext: base64(ciphertext) });
  return [
    [`GET ${at}`],
    [`PATCH ${at}`, { policy: { whoMayAdd: 'admin' } }],
    [`DELETE ${at}`],
    [`GET ${at}/epoch`],
    [`GET ${at}/group-info`],
    [`GET ${at}/members`],
    [`GET ${at}/messages`],
    [`GET ${at}/deletions`],
    [`DELETE ${at}/messages/1`],
    [`DELETE ${at}/messages/1`, { secret: base64('a secret of 32 bytes, or nearly') }],
    [`DELETE ${at}/messages/1`, { secret: 'x' }],
    [`POST ${at}/members`, { users: ['mallory'] }],
    [`POST ${at}/members`, { users: ['mallory'], commit: base64(privateMessage(id, 0, 'commit')) }],
    [`DELETE ${at}/members/alice`],
    [`DELETE ${at}/members/mallory`],
    [`DELETE ${at}/members/mallory`, { proposal: base64('x') }],
    [`POST ${at}/members/alice/remove`],
    [`PUT ${at}/members/mallory/role`, { role: 'admin' }],
    [`POST ${at}/members/mallory/bar`],
    [`DELETE ${at}/members/alice/bar`],
    [`POST ${at}/commits`, { commit: base64(privateMessage(id, 0, 'commit')) }],
    [`POST ${at}/commits`, { commit: base64(privateMessage(other, 0, 'commit')) }],
    [`POST ${at}/commits`, { commit: base64('x') }],
    [`POST ${at}/commits`, { commit: base64(privateMessage(id, 0, 'commit')), welcome: base64(groupInfo(id, 1)) }],
    [`POST ${at}/commits`, { commit: base64(privateMessage(id, 2n ** 63n, 'commit')) }],
    [`POST ${at}/messages`, message(privateMessage(id, 0))],
    [`POST ${at}/messages`, message(privateMessage(id, 99))],
    [`POST ${at}/messages`, message(privateMessage(other, 0))],
    [`POST ${at}/messages`, message(welcome())],
    [`POST ${at}/messages`, message(Buffer.from('x'))],
    [`POST ${at}/messages`, { messages: [message(privateMessage(id, 0)), { ...message(welcome()), id: 'n' }] }],
    [`POST ${at}/commits`, { commit: base64(externalCommit(id, 0)) }],
    [`PUT ${at}/group-info`, { groupInfo: base64(groupInfo(id, 0)) }],
    [`PUT ${at}/group-info`, { groupInfo: base64(groupInfo(other, 99)) }],
    [`PUT ${at}/group-info`, { groupInfo: base64('x') }],
    [`POST ${at}/reports`, { seq: 1, epoch: 0, reason: 'no overlap between private keys' }],
    [`POST ${at}/reset`, { successor: other }],
    [`POST ${at}/reset`, { successor: 'q83v' }],
    [`POST ${at}/read`],
    [`POST ${at}/unread`],
    [`POST ${at}/positions`, { positions: ['0'] }],
    [`POST ${at}/signals`, { data: base64('typing') }],
  ];
}

test('the table of requests covers every route of a conversation', async () => {
  const routes = makeRoutes(await appDeps(database().pool));
  const asked = requests('ID').map(([what]) =>
    what
      .replace(/members\/\w+/, 'members/{user}')
      .replace('messages/1', 'messages/{seq}')
      .replace('/ID', '/{id}'),
  );
  const ofConversations = routes
    .filter(({ path }) => path.startsWith('/v1/conversations/{id}'))
    .map(({ method, path }) => `${method.toUpperCase()} ${path}`)
    // Streams have separate tests.
    .filter((what) => !what.endsWith('/events'));
  expect([...new Set(asked)].sort()).toEqual(ofConversations.sort());
});

test.each(['mls', 'opaque'])(
  'an outsider cannot distinguish a conversation (%s) from one that does not exist',
  async (protocol) => {
    const real = await createConversation(service, ['bob'], { protocol });
    const none = newConversationId();
    // A member reads it first, so the result does not depend on the cache of this process.
    await service.ask(`GET /v1/conversations/${real}`, { user: 'bob' });
    for (const [i, [what, body]] of requests(real).entries()) {
      const [whatOfNone = '', bodyOfNone] = requests(none)[i] ?? [];
      const answer = await service.ask(what, { user: 'mallory', body });
      const expected = await service.ask(whatOfNone, { user: 'mallory', body: bodyOfNone });
      const { requestId: _own, ...problem } = answer.body;
      const { requestId: _other, ...same } = expected.body;
      expect([what, answer.status, problem]).toEqual([what, 404, same]);
      expect(problem).toEqual({ type: '/docs/problems/not-found', title: 'Not found', status: 404, code: 'not-found' });
    }
    const { body } = await service.ask(`GET /v1/conversations/${real}`, { user: 'alice' });
    expect(body).toMatchObject({ epoch: 0, lastSeq: 0, memberCount: 2 });
  },
);

test('checks run in this order: existence, form, retry, membership, policy, epoch', async () => {
  const id = await createConversation(service, ['bob'], { protocol: 'opaque', policy: { whoMayAdd: 'admin' } });
  const at = `/v1/conversations/${id}`;
  const code = async (user: string, what: string, body: unknown): Promise<unknown> => {
    const answer = await service.ask(`POST ${at}/${what}`, { user, body });
    return answer.body.code ?? answer.status;
  };
  const commit = { commit: base64('c'), adds: ['dave'], epoch: 5, id: 'c1' };
  // The existence is checked before the form.
  expect(await code('mallory', 'commits', { ...commit, adds: 'dave' })).toBe('not-found');
  expect(await code('mallory', 'commits', commit)).toBe('not-found');
  expect(await code('bob', 'commits', { ...commit, adds: 'dave' })).toBe('malformed');
  // The policy is checked before the epoch.
  expect(await code('bob', 'commits', commit)).toBe('not-allowed');
  expect(await code('alice', 'commits', commit)).toBe('epoch-ahead');

  expect(await code('bob', 'messages', { id: 'm1', ciphertext: base64('x') })).toBe(200);
  expect(await code('alice', 'members/bob/remove', {})).toBe(200);
  // A retry is checked before membership, and membership before all later checks.
  expect(await code('bob', 'messages', { id: 'm1', ciphertext: base64('x') })).toBe(200);
  expect(await code('bob', 'messages', { id: 'm1', ciphertext: base64('y') })).toBe('removed');
  expect(await code('bob', 'messages', { id: 'm2', ciphertext: base64('x'), epoch: 99 })).toBe('removed');
  expect(await code('bob', 'commits', commit)).toBe('removed');
  expect(await code('bob', 'messages', { id: 'm3', ciphertext: base64('x'), epoch: 2 ** 53 })).toBe('removed');
  expect(await code('alice', 'messages', { id: 'm4', ciphertext: base64('x'), epoch: 2 ** 53 })).toBe('epoch-ahead');
});

test('an accepted id with other bytes is refused and stores nothing', async () => {
  const id = await createConversation(service, ['bob'], { protocol: 'opaque' });
  const send = (user: string, ciphertext: string): ReturnType<InProcessApi['ask']> =>
    service.ask(`POST /v1/conversations/${id}/messages`, { user, body: { id: 'm', ciphertext: base64(ciphertext) } });
  expect((await send('alice', 'x')).status).toBe(200);
  expect((await send('alice', 'y')).body.code).toBe('id-reused');
  expect((await send('bob', 'x')).body.code).toBe('id-reused');
  expect((await service.ask(`GET /v1/conversations/${id}`, { user: 'bob' })).body).toMatchObject({ lastSeq: 1 });
});
