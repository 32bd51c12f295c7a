import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Answer } from '../../../tools/harness/answer.ts';
import { base64 } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { type Request, send, startConversation } from '../../harness/requests.ts';

/** What an id was used for: told to those who may read that entry, and to nobody else. */
const { database, service } = useApi();

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');
const say = (actor: string, id: string, epoch = 0): Request => ({ kind: 'message', id, actor, body: id, epoch });

/** Bob is away for the entries 3 (which removes him leaves him with it), 4 and 5; 6 adds him again. */
async function conversation(): Promise<string> {
  const { pool } = database();
  const id = await startConversation(pool, { protocol: 'opaque', creator: 'alice', members: ['bob'] });
  const { outcomes } = await send(pool, id, [
    say('alice', 'one'),
    say('bob', 'two'),
    { kind: 'commit', id: 'remove', actor: 'alice', epoch: 0, removes: ['bob'] },
    say('alice', 'secret', 1),
    say('alice', 'secret-2', 1),
    { kind: 'commit', id: 'add', actor: 'alice', epoch: 1, adds: ['bob'] },
    { kind: 'increment', id: 'increment', actor: 'alice', by: 1 },
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(outcomes.map(() => 'accepted'));
  return id;
}

test('`id-reused` says seq and sha256 of the entry to whoever may read it, and no more than today to others', async () => {
  const id = await conversation();
  const ask = (path: string, user: string, body: unknown): Promise<Answer> =>
    service.ask(`POST /v1/conversations/${id}/${path}`, { user, body });
  const message = (messageId: string): unknown => ({ id: messageId, ciphertext: base64('other') });
  const told = (answer: Answer): unknown[] => [answer.status, answer.body.code, answer.body.seq, answer.body.sha256];
  expect(told(await ask('messages', 'bob', message('one')))).toEqual([422, 'id-reused', 1, hashOf('one')]);
  expect(told(await ask('messages', 'bob', message('remove')))).toEqual([422, 'id-reused', 3, hashOf('')]);
  expect(told(await ask('messages', 'bob', message('secret')))).toEqual([422, 'id-reused', undefined, undefined]);
  expect(told(await ask('messages', 'alice', message('secret')))).toEqual([422, 'id-reused', 4, hashOf('secret')]);
  // The id of something without an entry.
  expect(told(await ask('unread', 'bob', { id: 'increment', by: 2 }))).toEqual([
    422,
    'id-reused',
    undefined,
    undefined,
  ]);
  expect(told(await ask('commits', 'bob', { id: 'two', commit: base64('c') }))).toEqual([
    422,
    'id-reused',
    2,
    hashOf('two'),
  ]);
  const list = await ask('messages', 'bob', { messages: [message('one'), message('secret')] });
  expect(list.body.results).toMatchObject([
    { id: 'one', code: 'id-reused', seq: 1, sha256: hashOf('one') },
    { id: 'secret', code: 'id-reused' },
  ]);
  expect((list.body.results as object[])[1]).not.toHaveProperty('seq');
});

test('an entry is found by its id by those who may read it', async () => {
  const id = await conversation();
  const find = async (user: string, messageId: string): Promise<unknown> => {
    const { status, body } = await service.ask(`GET /v1/conversations/${id}/messages?id=${messageId}`, { user });
    if (status !== 200) return status;
    expect(body).toMatchObject({ lastSeq: 6 });
    return (body.entries as { seq: number; id: string }[]).map(({ seq, id: found }) => [seq, found]);
  };
  expect(await find('alice', 'secret')).toEqual([[4, 'secret']]);
  expect(await find('bob', 'secret')).toBe(404);
  expect(await find('bob', 'secret-2')).toBe(404);
  for (const [seq, name] of [
    [1, 'one'],
    [2, 'two'],
    [3, 'remove'],
    [6, 'add'],
  ] as const) {
    expect(await find('bob', name)).toEqual([[seq, name]]);
  }
  expect(await find('bob', 'never')).toBe(404);
  expect(await find('bob', 'increment')).toBe(404);
  expect(await find('mallory', 'one')).toBe(404);
});

test('a former member finds what it may still read', async () => {
  const id = await conversation();
  const find = (messageId: string): Promise<Answer> =>
    service.ask(`GET /v1/conversations/${id}/messages?id=${messageId}`, { user: 'bob' });
  await send(database().pool, id, [
    { kind: 'commit', id: 'again', actor: 'alice', epoch: 2, removes: ['bob'] },
    say('alice', 'late', 3),
  ]);
  const found = await find('one');
  expect([found.status, found.body.lastSeq]).toEqual([200, 7]);
  expect((await find('late')).status).toBe(404);
});
