import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { retain } from '../../../store/retention/retention.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { base64 } from '../../harness/api/conversations.ts';
import { delivered, readsOf, untilDelivered } from '../../harness/streams/delivered.ts';
import { useReplicas } from '../../harness/streams/replica.ts';

/** What users of chat see on their other devices, and on those of others: read marks and deleted messages. */
const {
  database,
  talk,
  /** The third hears no notifications. */
  replicas: [one, other, deaf],
} = useReplicas({}, {}, { deaf: true });
let count = 0;
const someone = (name: string): string => `${name}-${++count}`;
const at = (conversation: string): string => `/v1/conversations/${conversation}`;

/** Sends a message that its sender can delete. @returns its seq, and the secret in base64 */
async function say(conversation: string, user: string): Promise<{ readonly seq: number; readonly secret: string }> {
  const secret = randomBytes(32);
  const deleteHash = createHash('sha256').update(secret).digest('hex');
  const message = { id: randomUUID(), ciphertext: base64(randomBytes(20)), deleteHash };
  const { results } = await talk.expect(`POST ${at(conversation)}/messages`, user, message);
  return { seq: (results as { seq: number }[])[0]?.seq ?? 0, secret: base64(secret) };
}

const untilRead = (
  stream: Parameters<typeof readsOf>[0],
  conversation: string,
  marks: readonly string[],
): Promise<void> =>
  waitUntil(() => readsOf(stream, conversation).join(' ') === marks.join(' '), { what: 'the marks are told' }).catch(
    () => expect(readsOf(stream, conversation)).toEqual(marks),
  );

test('the other devices hear of a read mark that moved, forward and back, in every process', async () => {
  const [alice, bob] = [someone('alice'), someone('bob')];
  const conversation = await talk.create(alice, bob);
  for (let i = 0; i < 5; i++) await say(conversation, alice);
  const others = await Promise.all([one.follow(bob, 'a'), other.follow(bob, 'b'), deaf.follow(bob, 'c')]);
  const ofAlice = await one.follow(alice, 'watch');
  const start = ['new', ...[alice, bob].sort().map((user) => `+${user}`), '1', '2', '3', '4', '5'];
  for (const stream of others) await untilDelivered(stream, conversation, start);
  // One after the other: streams tell what is true, and leave out what was true for a moment.
  const marks: string[] = [];
  for (const [body, told] of [
    [{}, '5:0'],
    [{ seq: 1, back: true }, '1:4'],
  ] as const) {
    await talk.expect(`POST ${at(conversation)}/read`, bob, body);
    marks.push(told);
    for (const stream of others) await untilRead(stream, conversation, marks);
  }
  // Sending counts as having read.
  const { seq } = await say(conversation, bob);
  for (const stream of others) await untilRead(stream, conversation, [...marks, `${seq}:0`]);
  expect(readsOf(ofAlice, conversation)).toEqual([]);
  expect(await talk.expect('GET /v1/unread', bob)).toEqual({ total: 0, conversations: 0 });
});

test('retention that takes unread messages takes the badge from every device', async () => {
  const { pool } = database();
  const [alice, bob] = [someone('alice'), someone('bob')];
  const conversation = await talk.create(alice, bob);
  for (let i = 0; i < 3; i++) await say(conversation, alice);
  await talk.expect(`PATCH ${at(conversation)}`, alice, { policy: { retentionDays: 1 } });
  const phone = await one.follow(bob, 'phone');
  expect(await talk.expect('GET /v1/unread', bob)).toEqual({ total: 3, conversations: 1 });
  await waitUntil(() => delivered(phone).some(({ change }) => change === 'policy'), { what: 'it is live' });
  await pool.query(
    `update entry e set at = at - interval '2 days' from conversation c where c.key = e.conversation and c.id = $1 and seq <= 2`,
    [conversation],
  );
  await retain(pool, conversation, Date.now(), 100);
  await untilRead(phone, conversation, ['0:1']);
  expect(await talk.expect('GET /v1/unread', bob)).toEqual({ total: 1, conversations: 1 });
});

test('what is not well formed is refused: a mark back to nowhere, secrets that can be guessed, hashes of proposals', async () => {
  const alice = someone('alice');
  const conversation = await talk.create(alice);
  const { seq, secret } = await say(conversation, alice);
  const ask = async (what: string, body: unknown): Promise<unknown> => {
    const answer = await one.service.ask(what, { user: alice, body });
    return [answer.status, answer.body.code];
  };
  expect(await ask(`POST ${at(conversation)}/read`, { back: true })).toEqual([400, 'malformed']);
  expect(await ask(`POST ${at(conversation)}/read`, { seq: 1, back: false })).toEqual([400, 'malformed']);
  for (const bytes of [1, 15, 257]) {
    const short = { secret: base64(randomBytes(bytes)) };
    expect(await ask(`DELETE ${at(conversation)}/messages/${seq}`, short)).toEqual([400, 'malformed']);
  }
  for (const wrong of ['x', '1e3', '-1', '0', '']) {
    expect(
      (await one.service.ask(`DELETE ${at(conversation)}/messages/${wrong}`, { user: alice, body: { secret } })).status,
      wrong,
    ).not.toBe(200);
  }
  for (const deleteHash of ['ab', 'AB'.repeat(32), 'ab'.repeat(33), 7]) {
    const message = { id: 'm', ciphertext: base64('x'), deleteHash };
    expect(await ask(`POST ${at(conversation)}/messages`, message)).toEqual([400, 'malformed']);
  }
});

test('a deleted message is gone from every page, and every device hears of it, also one that was away', async () => {
  const [alice, bob, carol] = [someone('alice'), someone('bob'), someone('carol')];
  const conversation = await talk.create(alice, bob);
  const first = await say(conversation, bob);
  await say(conversation, alice);
  // It has the message, and goes away.
  await talk.ack(bob, 'away', { [conversation]: 2 });
  await talk.ack(bob, 'far', { [conversation]: 1 });
  const live = [await one.follow(alice), await other.follow(bob, 'laptop'), await deaf.follow(alice, 'tablet')];
  const start = ['new', ...[alice, bob].sort().map((user) => `+${user}`), '1', '2'];
  for (const stream of live) await untilDelivered(stream, conversation, start);
  const inLog = await other.followOne(conversation, alice, { after: 2 });

  const answer = await talk.expect(`DELETE ${at(conversation)}/messages/1`, bob, { secret: first.secret });
  expect(answer).toEqual({
    seq: 1,
    kind: 'application',
    epoch: 0,
    deleted: true,
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    chain: expect.stringMatching(/^.{44}$/) as string,
  });
  for (const stream of live) await untilDelivered(stream, conversation, [...start, 'deleted 1']);
  await waitUntil(() => inLog.events.length === 1, { what: 'the stream of the conversation tells it' });
  expect(inLog.events).toMatchObject([{ event: 'deleted', data: '{"seq":1}', id: undefined }]);
  expect(await talk.expect(`DELETE ${at(conversation)}/messages/1`, alice, { secret: first.secret })).toEqual(answer);

  // The log goes on. Who comes later hears of it at its place, once; the page shows the entry without its bytes.
  await say(conversation, alice);
  await untilDelivered(await one.follow(bob, 'away'), conversation, ['deleted 1', '3']);
  await untilDelivered(await one.follow(bob, 'far'), conversation, ['2', 'deleted 1', '3']);
  await talk.ack(bob, 'away', { [conversation]: 3 });
  const { entries } = await talk.expect(`GET ${at(conversation)}/messages`, bob);
  // The first of a block also has the value of the chain before it.
  expect((entries as unknown[])[0]).toEqual({ ...answer, chainBefore: expect.stringMatching(/^.{44}$/) as string });
  // A device that reads pages only asks, from where it was.
  const deletions = (after: number): Promise<unknown> =>
    talk.expect(`GET ${at(conversation)}/deletions?after=${after}`, bob);
  expect(await deletions(2)).toEqual({ deleted: [1] });
  expect(await deletions(3)).toEqual({ deleted: [] });
  const { next } = await talk.expect(`GET ${at(conversation)}/deletions?limit=1`, bob);
  expect(await talk.expect(`GET ${at(conversation)}/deletions?limit=1&cursor=${String(next)}`, bob)).toEqual({
    deleted: [],
  });
  // A new member hears nothing of before.
  await talk.add(conversation, alice, carol);
  expect(await talk.expect(`GET ${at(conversation)}/deletions`, carol)).toEqual({ deleted: [] });
  const page = await talk.expect(`GET ${at(conversation)}/messages`, carol);
  expect((page.entries as { seq: number }[]).map(({ seq }) => seq)).toEqual([4]);
  expect(
    (await one.service.ask(`DELETE ${at(conversation)}/messages/1`, { user: carol, body: { secret: first.secret } }))
      .status,
  ).toBe(404);
  for (const stream of live) {
    await untilDelivered(stream, conversation, [...start, 'deleted 1', '3', '4', `+${carol}`]);
  }
});
