import { expect, test } from 'vitest';
import { useApi } from '../../harness/api/use-api.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import type { Answer } from '../../../tools/harness/answer.ts';
import { makeTalk, truncate } from '../../harness/streams/talk.ts';

const { database, service } = useApi();
const talk = makeTalk(service);

async function ack(user: string, positions: unknown, device?: string): Promise<Answer> {
  const headers = { authorization: `Bearer ${await tokenOf(user, { device })}` };
  return service.ask('POST /v1/ack', { body: { positions }, headers });
}

test('positions move forward only, for many conversations at once and for each device by itself', async () => {
  const [a, b] = [await talk.create('alice', 'bob'), await talk.create('alice', 'bob')];
  for (let i = 0; i < 4; i++) await talk.say(a, 'alice');
  await talk.say(b, 'alice');
  expect((await ack('bob', { [a]: 3, [b]: 1 })).body).toEqual({ positions: { [a]: 3, [b]: 1 }, restarted: {} });
  expect((await ack('bob', { [a]: 2, [b]: 0 })).body).toEqual({ positions: { [a]: 3, [b]: 1 }, restarted: {} });
  expect((await ack('bob', { [a]: 4 })).body).toEqual({ positions: { [a]: 4 }, restarted: {} });
  expect((await ack('bob', { [a]: 1, [b]: 0 }, 'laptop')).body).toEqual({
    positions: { [a]: 1, [b]: 0 },
    restarted: {},
  });
  expect((await ack('bob', {})).body).toEqual({ positions: {}, restarted: {} });
});

test('concurrent acknowledgements of a device end at the highest position, and each answer has at least its own', async () => {
  const conversation = await talk.create('alice', 'bob');
  for (let i = 0; i < 8; i++) await talk.say(conversation, 'alice');
  const answers = await Promise.all([1, 8, 3, 5, 2, 7].map((seq) => ack('bob', { [conversation]: seq }, 'phone')));
  for (const [i, { status, body }] of answers.entries()) {
    expect(status).toBe(200);
    const position = (body.positions as Record<string, number>)[conversation] ?? 0;
    expect(position).toBeGreaterThanOrEqual([1, 8, 3, 5, 2, 7][i] ?? 0);
  }
  expect((await ack('bob', { [conversation]: 0 }, 'phone')).body).toEqual({
    positions: { [conversation]: 8 },
    restarted: {},
  });
});

test('a position above what the user may read is `position-ahead`, and nothing of the request is stored', async () => {
  const [a, b] = [await talk.create('alice', 'bob'), await talk.create('alice', 'bob')];
  await talk.say(a, 'alice');
  await talk.say(b, 'alice');
  const answer = await ack('bob', { [a]: 1, [b]: 2 });
  expect([answer.status, answer.body.code]).toEqual([422, 'position-ahead']);
  expect(answer.body).toMatchObject({ conversation: b, lastSeq: 1 });
  expect((await ack('bob', { [a]: 0 })).body).toEqual({ positions: { [a]: 0 }, restarted: {} });
  const seq = await talk.remove(a, 'alice', 'bob');
  await talk.say(a, 'alice');
  expect((await ack('bob', { [a]: seq })).body).toEqual({ positions: { [a]: seq }, restarted: {} });
  expect((await ack('bob', { [a]: seq + 1 })).body).toMatchObject({ code: 'position-ahead', lastSeq: seq });
});

test('conversations that the user may not see are left out, whether or not they exist', async () => {
  const [mine, others] = [await talk.create('alice', 'bob'), await talk.create('alice')];
  await talk.say(mine, 'alice');
  await talk.say(others, 'alice');
  const answer = await ack('bob', { [mine]: 1, [others]: 99, [newConversationId()]: 99 });
  expect(answer.body).toEqual({ positions: { [mine]: 1 }, restarted: {} });
  await talk.expect(`DELETE /v1/conversations/${mine}`, 'alice', {});
  expect((await ack('bob', { [mine]: 1 })).body).toEqual({ positions: {}, restarted: {} });
});

test.each([
  [undefined],
  [[]],
  [{ 'not an id!': 1 }],
  [{ AAAA: -1 }],
  [{ AAAA: 1.5 }],
  [{ AAAA: '1x' }],
  [{ AAAA: 2 ** 60 }],
  [Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`A${String(1000 + i)}A`.slice(0, 6), 1]))],
])('%j are no positions', async (positions) => {
  const answer = await ack('bob', positions);
  expect([answer.status, answer.body.code]).toEqual([400, 'malformed']);
});

test('a page that would begin before the oldest kept entry is 410 `history-truncated`, and one from that entry on is not', async () => {
  const conversation = await talk.create('alice', 'bob');
  for (let i = 0; i < 6; i++) await talk.say(conversation, 'alice');
  await truncate(database().pool, conversation, 5);
  const read = (query: string, user = 'bob'): Promise<Answer> =>
    service.ask(`GET /v1/conversations/${conversation}/messages?${query}`, { user });
  for (const query of ['', 'after=2', 'after=3&kind=commit', 'after=3&limit=1']) {
    const answer = await read(query);
    expect([query, answer.status, answer.body.code, answer.body.oldestSeq]).toEqual([
      query,
      410,
      'history-truncated',
      5,
    ]);
    expect(answer.body.detail).toContain('rejoin');
  }
  const seqs = async (query: string, user?: string): Promise<number[]> =>
    ((await read(query, user)).body.entries as { seq: number }[]).map(({ seq }) => seq);
  expect(await seqs('after=4')).toEqual([5, 6]);
  expect(await seqs('after=6')).toEqual([]);
  // A member who joined later misses nothing.
  const joined = await talk.add(conversation, 'alice', 'carol');
  expect(await seqs('', 'carol')).toEqual([joined]);
  expect((await read('', 'mallory')).status).toBe(404);
});
