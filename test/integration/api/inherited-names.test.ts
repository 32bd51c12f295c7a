import { expect, test } from 'vitest';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { base64 } from '../../harness/api/conversations.ts';
import { useReplicas } from '../../harness/streams/replica.ts';
import { untilDelivered, untilEnd, wordsOf } from '../../harness/streams/delivered.ts';

// Names that every plain object inherits are valid ids. Where such a name is a key of a plain object, its user seems to
// have left, its conversation seems to have a position, and its message seems to be known.

const {
  talk,
  replicas: [one, deaf],
} = useReplicas({}, { deaf: true });

const USERS = ['constructor', 'toString', '__proto__', 'hasOwnProperty', 'valueOf', '__defineGetter__'];
/** Of the names that objects inherit, these are canonical base64url. */
const CONVERSATIONS = ['toString', 'toLocaleString', 'propertyIsEnumerable', '__defineGetter__', '__lookupSetter__'];

test('users and devices with such names create, join, talk, read and get both kinds of stream in every process', async () => {
  const [creator = '', ...members] = USERS;
  const conversation = await talk.create(creator, ...members);
  for (const user of USERS) {
    const live = [await one.followOne(conversation, user), await deaf.followOne(conversation, user)];
    const all = [await one.follow(user, user), await deaf.follow(user, `${user}.`)];
    const seq = await talk.say(conversation, user);
    for (const stream of live) {
      await waitUntil(() => stream.events.at(-1)?.id?.startsWith(`${seq}.`) === true, {
        what: `${user} gets entry ${seq}`,
      });
      expect(stream.endedAt()).toBeUndefined();
    }
    for (const stream of all) {
      await waitUntil(() => wordsOf(stream, conversation).at(-1) === String(seq), {
        what: `${user} gets it there too`,
      });
      expect(stream.endedAt()).toBeUndefined();
    }
    const page = await talk.expect(`GET /v1/conversations/${conversation}/messages`, user);
    expect(page.lastSeq).toBe(seq);
    await talk.expect(`POST /v1/conversations/${conversation}/read`, user, {});
    for (const stream of [...live, ...all]) stream.close();
  }
  const { members: listed } = await talk.expect(`GET /v1/conversations/${conversation}/members`, creator);
  expect((listed as { user: string }[]).map(({ user }) => user)).toEqual([...USERS].sort());
  const { devices } = await talk.expect('GET /v1/devices', '__proto__');
  expect((devices as { device: string }[]).map(({ device }) => device)).toContain('__proto__');
  await talk.expect('DELETE /v1/devices/__proto__', '__proto__');
});

test('who has such a name is removed and added again like everybody else, and others stay', async () => {
  const conversation = await talk.create('alice', ...USERS);
  const streams = await Promise.all(USERS.map((user) => deaf.followOne(conversation, user)));
  const seq = await talk.remove(conversation, 'alice', 'constructor');
  const [removed, ...others] = streams;
  if (removed === undefined) throw new Error('no stream');
  await untilEnd(removed);
  expect(JSON.parse(removed.events.at(-1)?.data ?? '{}')).toEqual({ seq });
  for (const stream of others) expect(stream.endedAt()).toBeUndefined();
  const joined = await talk.add(conversation, 'alice', 'constructor');
  const again = await one.follow('constructor', 'again');
  await untilDelivered(again, conversation, [`welcome ${joined}`, 'new', String(joined), '+constructor']);
  const role = `PUT /v1/conversations/${conversation}/members/__proto__/role`;
  expect(await talk.expect(role, 'alice', { role: 'admin' })).toEqual({ user: '__proto__', role: 'admin' });
});

test('a key package is claimed from a user and a device with such names', async () => {
  for (const user of USERS) {
    const answer = await talk.expect(`POST /v1/users/${user}/key-packages/claim`, 'alice', { devices: USERS });
    // The first test recorded a device of the same name for each user, and deleted one of them.
    expect(answer).toEqual({ keyPackages: [], exhausted: user === '__proto__' ? [] : [user] });
  }
});

test('messages with such ids are stored once, and answered again', async () => {
  const conversation = await talk.create('alice');
  const messages = USERS.map((id) => ({ id, ciphertext: base64(id) }));
  const send = async (): Promise<unknown> =>
    (await talk.expect(`POST /v1/conversations/${conversation}/messages`, 'alice', { messages })).results;
  expect(await send()).toMatchObject(USERS.map((id, i) => ({ id, seq: i + 1, status: 'accepted' })));
  expect(await send()).toMatchObject(USERS.map((id, i) => ({ id, seq: i + 1, status: 'duplicate' })));
});

test('conversations with such ids keep their positions, also in one request, and the streams of all conversations', async () => {
  for (const id of CONVERSATIONS) {
    const body = { id, protocol: 'opaque', members: ['bob'], policy: { externalJoin: 'nobody' } };
    await talk.expect('POST /v1/conversations', 'alice', body);
  }
  const ack = (positions: unknown): Promise<Readonly<Record<string, unknown>>> =>
    talk.expect('POST /v1/ack', 'bob', { positions });
  const zero = Object.fromEntries(CONVERSATIONS.map((id) => [id, 0]));
  // Nothing is inherited by the answer either.
  expect(JSON.stringify((await ack({ toString: 0 })).positions)).toBe('{"toString":0}');
  expect((await ack(zero)).positions).toEqual(zero);
  const stream = await deaf.follow('bob', 'phone');
  for (const id of CONVERSATIONS) {
    const seq = await talk.say(id, 'alice');
    await waitUntil(() => wordsOf(stream, id).at(-1) === String(seq), { what: `the entry of ${id} comes` });
  }
  const first = Object.fromEntries(CONVERSATIONS.map((id) => [id, 1]));
  expect((await ack(first)).positions).toEqual(first);
  const { conversations } = await talk.expect('GET /v1/conversations', 'bob');
  expect((conversations as { id: string }[]).map(({ id }) => id)).toEqual(CONVERSATIONS);
  await talk.expect('DELETE /v1/me', 'bob');
  await untilEnd(stream);
});

test('a name that a body inherits is no field of it', async () => {
  const authorization = `Bearer ${await tokenOf('alice')}`;
  for (const raw of ['{"__proto__":{"messages":[]}}', '{"constructor":1}', '{"__proto__":null,"id":"x"}']) {
    const answer = await one.service.ask('POST /v1/conversations', { raw, headers: { authorization } });
    expect([raw, answer.status]).toEqual([raw, 400]);
  }
});
