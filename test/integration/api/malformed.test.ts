import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { groupInfo, privateMessage } from '../../harness/api/frames.ts';
import { base64, createConversation } from '../../harness/api/conversations.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { useApi } from '../../harness/api/use-api.ts';
import type { InProcessApi } from '../../../tools/harness/in-process-api.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';

const { database, service } = useApi();
let opaque: string;
let mls: string;
beforeAll(async () => {
  opaque = await createConversation(service, ['bob'], { protocol: 'opaque' });
  mls = await createConversation(service, ['bob']);
});

const TABLES = ['conversation', 'member', 'period', 'entry', 'operation', 'staged', 'welcome', 'group_info'];

/** Row counts and sums of everything that requests can change. */
async function stored(): Promise<unknown> {
  const counts = TABLES.map((table) => `(select count(*) from ${table}) as ${table}`).join(', ');
  const { rows } = await database().pool.query(
    `select ${counts}, (select sum(epoch + last_seq) from conversation) as s`,
  );
  return rows[0];
}

/** A valid body for each route. */
const VALID: Readonly<Record<string, () => [target: string, body: Record<string, unknown>]>> = {
  create: () => [
    'POST /v1/conversations',
    { id: newConversationId(), protocol: 'opaque', epoch: 1, members: ['bob'], groupInfo: base64('g'), policy: {} },
  ],
  message: () => [`POST /v1/conversations/${opaque}/messages`, { id: 'x', ciphertext: base64('x'), epoch: 0 }],
  messages: () => [
    `POST /v1/conversations/${opaque}/messages`,
    { messages: [{ id: 'x', ciphertext: base64('x'), epoch: 0 }] },
  ],
  commit: () => [
    `POST /v1/conversations/${opaque}/commits`,
    { commit: base64('c'), adds: ['u'], removes: [], welcome: base64('w'), groupInfo: base64('g'), epoch: 0, id: 'c' },
  ],
  add: () => [
    `POST /v1/conversations/${opaque}/members`,
    { users: ['u'], commit: base64('c'), welcome: base64('w'), groupInfo: base64('g'), epoch: 0, id: 'a' },
  ],
  remove: () => [
    `POST /v1/conversations/${opaque}/members/bob/remove`,
    { commit: base64('c'), groupInfo: base64('g'), epoch: 0, id: 'r' },
  ],
  'remove by DELETE': () => [
    `DELETE /v1/conversations/${opaque}/members/bob`,
    { commit: base64('c'), groupInfo: base64('g'), epoch: 0, id: 'r' },
  ],
  role: () => [`PUT /v1/conversations/${opaque}/members/bob/role`, { role: 'admin' }],
  policy: () => [`PATCH /v1/conversations/${opaque}`, { policy: { whoMayAdd: 'admin' } }],
  read: () => [`POST /v1/conversations/${opaque}/read`, { seq: 0 }],
  unread: () => [`POST /v1/conversations/${opaque}/unread`, { by: 1, id: 'i' }],
  path: () => ['PUT /v1/admin/path', { path: 'direct', rollout: 1 }],
};
const userOf = (name: string): string => (name === 'path' ? 'operator' : 'alice');

describe.each(Object.keys(VALID))('%s', (name) => {
  const make = VALID[name];
  if (make === undefined) throw new Error(name);

  test('refuses a field of a wrong type and an unknown field, and names the field', async () => {
    const before = await stored();
    const [target, body] = make();
    const broken = [...Object.keys(body).map((field) => ({ ...body, [field]: true })), { ...body, extra: 1 }];
    for (const [i, one] of broken.entries()) {
      const answer = await service.ask(target, { user: userOf(name), body: one });
      const field = Object.keys(body)[i] ?? 'extra';
      expect([field, answer.status, answer.body.code]).toEqual([field, 400, 'malformed']);
      expect(JSON.stringify(answer.body.errors)).toContain(field);
    }
    expect(await stored()).toEqual(before);
  });

  test('refuses a body that is not an object with its fields', async () => {
    const before = await stored();
    const [target] = make();
    const isEmptyAccepted = ['remove', 'remove by DELETE', 'read', 'unread'].includes(name);
    const anything = fc
      .jsonValue({ maxDepth: 2 })
      .filter((value) => !isEmptyAccepted || JSON.stringify(value) !== '{}');
    await fc.assert(
      fc.asyncProperty(anything, async (value) => {
        const answer = await service.ask(target, { user: userOf(name), raw: JSON.stringify(value) });
        expect([answer.status, answer.body.code]).toEqual([400, 'malformed']);
      }),
      { numRuns: 25 },
    );
    expect(await stored()).toEqual(before);
  });

  test('refuses a body that is not JSON, not UTF-8, not declared as JSON, or compressed', async () => {
    const [target, body] = make();
    const user = userOf(name);
    const raw = JSON.stringify(body);
    const code = async (ask: Parameters<InProcessApi['ask']>[1]): Promise<unknown> =>
      (await service.ask(target, { user, ...ask })).body.code;
    expect(await code({ raw: raw.slice(0, -1) })).toBe('malformed');
    expect(await code({ raw: Buffer.concat([Buffer.from('{"id":"'), Buffer.from([0xff]), Buffer.from('"}')]) })).toBe(
      'malformed',
    );
    for (const headers of [
      { 'content-type': 'text/plain' },
      { 'content-type': 'application/json; charset=latin1' },
      { 'content-encoding': 'gzip' },
    ]) {
      expect(await code({ raw, headers })).toBe('unsupported-media-type');
    }
  });
});

test.each([
  ['unknown fields', (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`unknown-${i}`, i]))],
  ['an unknown field with a long name', (n: number) => ({ ['x'.repeat(10 * n)]: 1 })],
  ['wrong elements', (n: number) => ({ users: Array.from({ length: n }, () => 1) })],
  ['long wrong values', (n: number) => ({ users: ['x'.repeat(10 * n)], id: 'y'.repeat(10 * n), epoch: 'z'.repeat(n) })],
])('the answer to %s is short', async (_, bodyOf) => {
  const [target] = VALID.add?.() ?? [''];
  const answer = await service.ask(target, { user: 'alice', body: bodyOf(200_000) });
  expect([answer.status, answer.body.code]).toEqual([400, 'malformed']);
  expect(answer.text.length).toBeLessThan(10_000);
});

test('the answer about positions with long names is short', async () => {
  const positions = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`${'x'.repeat(20_000)}${i}`, -1]));
  const answer = await service.ask('POST /v1/ack', { user: 'alice', body: { positions } });
  expect([answer.status, answer.text.length < 10_000]).toEqual([400, true]);
});

test.each([
  ['messages', 1024 * 1024],
  ['commit', 8 * 1024 * 1024],
  ['add', 8 * 1024 * 1024],
  ['create', 8 * 1024 * 1024],
  ['read', 256 * 1024],
  ['policy', 256 * 1024],
])('%s accepts %i bytes and no more', async (name, limit) => {
  const [target] = VALID[name]?.() ?? [''];
  const over = await service.ask(target, { user: 'alice', raw: `"${'x'.repeat(limit - 1)}"` });
  expect([over.status, over.body.code, over.body.limit]).toEqual([413, 'too-large', limit]);
  const within = await service.ask(target, { user: 'alice', raw: `"${'x'.repeat(limit - 2)}"` });
  expect(within.body.code).toBe('malformed');
  // The request does not announce its length.
  const stream = new ReadableStream({
    start: (controller) => {
      controller.enqueue(Buffer.alloc(limit + 1, 0x20));
      controller.close();
    },
  });
  const [method = '', path = ''] = target.split(' ');
  const chunked = await fetch(`${service.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${await tokenOf('alice')}`, 'content-type': 'application/json' },
    body: stream,
    duplex: 'half',
  });
  expect(chunked.status).toBe(413);
});

const nonsense: readonly [what: string, field: string, value: unknown][] = [
  ['message', 'id', ''],
  ['message', 'id', 'x'.repeat(129)],
  ['message', 'id', 'é'],
  ['message', 'id', 'a\nb'],
  ['message', 'ciphertext', ''],
  ['message', 'ciphertext', 'YQ'],
  ['message', 'ciphertext', 'YR=='],
  ['message', 'ciphertext', 'Y-__'],
  ['message', 'ciphertext', 'YWJj\n'],
  ['message', 'epoch', -1],
  ['message', 'epoch', 0.5],
  ['messages', 'messages', []],
  ['messages', 'messages', Array.from({ length: 101 }, (_, i) => ({ id: `${i}`, ciphertext: 'YQ==' }))],
  ['create', 'id', 'a'],
  ['create', 'id', 'A'.repeat(87)],
  ['create', 'id', 'ab+/'],
  ['create', 'epoch', 2 ** 53],
  ['create', 'members', ['..']],
  ['create', 'members', ['a\u0000']],
  ['create', 'policy', { maxMembers: 1 }],
  ['create', 'policy', { maxMembers: 10_001 }],
  ['create', 'policy', { epochWindow: 5 }],
  ['create', 'policy', { whoMayAdd: 'everybody' }],
  ['create', 'policy', { unknown: 1 }],
  ['commit', 'adds', ['']],
  ['add', 'users', []],
  ['add', 'users', ['x'.repeat(256)]],
  ['read', 'seq', -1],
  ['read', 'seq', 2 ** 53],
  ['unread', 'by', 0],
  ['unread', 'by', 1_000_001],
  ['path', 'path', 'sideways'],
  ['path', 'rollout', 101],
];
test.each(nonsense)('%s refuses %s = %j', async (name, field, value) => {
  const before = await stored();
  const [target, body] = VALID[name]?.() ?? ['', {}];
  const answer = await service.ask(target, { user: userOf(name), body: { ...body, [field]: value } });
  expect([answer.status, answer.body.code]).toEqual([400, 'malformed']);
  expect(await stored()).toEqual(before);
});

test.each([
  'messages?after=-1',
  'messages?after=x',
  'messages?limit=0',
  'messages?limit=1001',
  'messages?kind=other',
  'messages?afer=1',
  'messages?after=1&after=2',
  'members?cursor=!',
  'members?limit=1e2',
])('a page refuses %s', async (query) => {
  const answer = await service.ask(`GET /v1/conversations/${opaque}/${query}`, { user: 'alice' });
  expect([answer.status, answer.body.code]).toEqual([400, 'malformed']);
});

test('a conversation that does not exist and an impossible id get the same answer', async () => {
  for (const id of [newConversationId(), '%21', 'a', 'A'.repeat(99)]) {
    const answer = await service.ask(`GET /v1/conversations/${id}`, { user: 'alice' });
    expect([answer.status, answer.body.code]).toEqual([404, 'not-found']);
  }
  expect((await service.ask('GET /v1/conversations/%ff', { user: 'alice' })).status).toBe(400);
  expect((await service.ask('POST /v1/welcomes/x/ack', { user: 'alice' })).status).toBe(404);
});

test('a frame with missing or extra bytes is refused', async () => {
  const before = await stored();
  const send = async (ciphertext: Buffer): Promise<unknown> => {
    const body = { id: 'x', ciphertext: base64(ciphertext) };
    return (await service.ask(`POST /v1/conversations/${mls}/messages`, { user: 'alice', body })).body.code;
  };
  const frame = privateMessage(mls, 0);
  await fc.assert(
    fc.asyncProperty(fc.nat(frame.length - 1), async (length) => {
      expect(await send(Buffer.concat([frame.subarray(0, length), Buffer.alloc(length === 0 ? 1 : 0)]))).toBe(
        'malformed',
      );
    }),
    { numRuns: 30 },
  );
  expect(await send(Buffer.concat([frame, Buffer.alloc(1)]))).toBe('malformed');
  expect(await send(groupInfo(mls, 0))).toBe('wrong-content-type');
  const { publicApplication } = await import('../../harness/api/frames.ts');
  expect(await send(publicApplication(mls, 0))).toBe('wrong-content-type');
  expect(await stored()).toEqual(before);
});

test('the id of an MLS group must have at least 16 bytes', async () => {
  const id = Buffer.alloc(15, 1).toString('base64url');
  const answer = await service.ask('POST /v1/conversations', { user: 'alice', body: { id } });
  expect([answer.status, answer.body.code]).toEqual([400, 'malformed']);
});

test('a creation with too many members, or a GroupInfo of another group or epoch, stores nothing', async () => {
  const before = await stored();
  const id = newConversationId();
  const create = async (more: object): Promise<unknown[]> => {
    const answer = await service.ask('POST /v1/conversations', { user: 'alice', body: { id, ...more } });
    return [answer.status, answer.body.code];
  };
  expect(await create({ members: ['b', 'c'], policy: { maxMembers: 2 } })).toEqual([422, 'too-many-members']);
  expect(await create({ groupInfo: base64(groupInfo(mls, 0)) })).toEqual([422, 'wrong-group']);
  expect(await create({ groupInfo: base64(groupInfo(id, 1)) })).toEqual([422, 'group-info-mismatch']);
  expect(await create({ groupInfo: base64('x') })).toEqual([400, 'malformed']);
  expect(await stored()).toEqual(before);
});
