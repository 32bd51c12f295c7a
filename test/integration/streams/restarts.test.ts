import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Entry } from '../../../client/index.ts';
import { seqsOf, signalsOf } from '../../../tools/harness/event-stream.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { base64 } from '../../harness/api/conversations.ts';
import { keepConversation } from '../../harness/kept-conversation.ts';
import { wordsOf } from '../../harness/streams/delivered.ts';
import { useReplicas } from '../../harness/streams/replica.ts';

const {
  database,
  talk,
  replicas: [one, deaf],
} = useReplicas({}, { deaf: true });

const OTHER_MARK = 'AAAAAAAAAAAAAAAA';

async function page(conversation: string, user: string, after = '0'): Promise<Page> {
  return (await talk.expect(`GET /v1/conversations/${conversation}/messages?after=${after}`, user)) as unknown as Page;
}

interface Page {
  readonly entries: readonly Entry[];
  readonly position: string;
  readonly lastSeq: number;
  readonly next?: number;
}

const positionOf = ({ seq, chain = '' }: Pick<Entry, 'seq' | 'chain'>): string =>
  `${seq}.${Buffer.from(chain, 'base64').subarray(0, 12).toString('base64url')}`;

async function refusal(what: string, user: string, body?: unknown): Promise<Record<string, unknown>> {
  const { status, body: answer } = await one.service.ask(what, body === undefined ? { user } : { user, body });
  const { code, lastSeq, oldestSeq } = answer;
  return { status, code, lastSeq, oldestSeq };
}

test.each([
  ['is shorter', 0],
  ['is as long, and another one', 2],
  ['is longer, and another one', 4],
])('open streams are told that after a restore the log %s (invariant 13)', async (_what, more) => {
  const [conversation, other] = [await talk.create('alice', 'bob'), await talk.create('alice', 'bob')];
  const streams = await Promise.all(
    [one, deaf].map(async (replica) => ({
      own: await replica.followOne(conversation, 'bob', { after: '0' }),
      all: await replica.follow('bob', replica === one ? 'phone' : 'laptop'),
    })),
  );
  for (let i = 0; i < 2; i++) await talk.say(conversation, 'alice');
  const restore = await keepConversation(database().pool, conversation);
  for (let i = 0; i < 2; i++) await talk.say(conversation, 'alice');
  for (const { own, all } of streams) {
    await waitUntil(() => seqsOf(own).length === 4, { what: 'four entries come' });
    await waitUntil(() => wordsOf(all, conversation).at(-1) === '4', { what: 'four entries come' });
  }
  await restore();
  for (let i = 0; i < more; i++) await talk.say(conversation, 'alice');
  for (const { own, all } of streams) {
    await waitUntil(() => own.endedAt() !== undefined, { what: 'the stream of the conversation ends' });
    expect(signalsOf(own)).toMatchObject([{ event: 'log-restarted' }]);
    const { data, id } = own.events.at(-1) ?? {};
    expect([JSON.parse(data ?? ''), id, own.retryMs()]).toMatchObject([{ oldestSeq: 1 }, undefined, 60_000]);
    // Nothing of the other log came.
    expect(seqsOf(own)).toEqual([1, 2, 3, 4]);
    await waitUntil(() => wordsOf(all, conversation).at(-1) === 'log-restarted', { what: 'the device is told' });
    expect(wordsOf(all, conversation)).toEqual(['new', '+alice', '+bob', '1', '2', '3', '4', 'log-restarted']);
    expect(all.endedAt()).toBeUndefined();
  }
  // The streams of the devices go on for the others.
  await talk.say(other, 'alice');
  for (const { all } of streams) {
    await waitUntil(() => wordsOf(all, other).at(-1) === '1', { what: 'the other conversation goes on' });
  }
});

test('who begins after an entry that the log does not have is refused, or told', async () => {
  const conversation = await talk.create('alice', 'bob');
  const path = `/v1/conversations/${conversation}`;
  await talk.say(conversation, 'alice');
  const restore = await keepConversation(database().pool, conversation);
  await talk.say(conversation, 'alice');
  const lost = (await page(conversation, 'bob')).position;
  const [first] = (await page(conversation, 'bob')).entries;
  const known = positionOf(first ?? { seq: 0 });
  await restore();
  const restarted = { status: 409, code: 'log-restarted', lastSeq: 1, oldestSeq: 1 };
  const message = (position: unknown): unknown => ({ id: randomUUID(), ciphertext: base64('hello'), position });
  const commit = (position: unknown): unknown => ({ commit: base64(randomUUID()), position });

  for (const round of ['shorter', 'other']) {
    for (const position of round === 'shorter' ? [lost, '2'] : [lost]) {
      expect(await refusal(`GET ${path}/messages?after=${position}`, 'bob')).toEqual(restarted);
      expect(await refusal(`GET ${path}/messages?after=${position}&kind=commit`, 'bob')).toEqual(restarted);
      expect(await refusal(`GET ${path}/events?after=${position}`, 'bob')).toEqual(restarted);
      const resumed = await one.followOne(conversation, 'bob', { lastEventId: position });
      expect([resumed.status, (JSON.parse(resumed.text()) as { code: string }).code]).toEqual([409, 'log-restarted']);
    }
    expect(await refusal(`POST ${path}/messages`, 'bob', message(lost))).toEqual(restarted);
    expect(await refusal(`POST ${path}/commits`, 'bob', commit(lost))).toEqual(restarted);
    expect(await refusal(`POST ${path}/members`, 'bob', { users: ['carol'], position: lost })).toEqual(restarted);
    expect(await refusal(`POST ${path}/members/alice/remove`, 'bob', { position: lost })).toEqual(restarted);
    expect(await refusal(`DELETE ${path}/members/bob`, 'bob', { position: lost })).toEqual(restarted);
    expect(await refusal(`POST ${path}/read`, 'bob', { seq: lost })).toEqual(restarted);
    const { lastSeq } = restarted;
    expect(await talk.expect('POST /v1/ack', 'bob', { positions: { [conversation]: lost } })).toEqual({
      positions: {},
      restarted: { [conversation]: { lastSeq, oldestSeq: 1 } },
    });
    expect(
      await talk.expect(`POST ${path}/positions`, 'bob', { positions: [lost, `0.${OTHER_MARK}`, known, 1] }),
    ).toEqual({
      agreed: known,
    });
    expect(await talk.expect(`POST ${path}/positions`, 'bob', { positions: [lost] })).toEqual({ agreed: null });
    if (round === 'other') continue;
    await talk.say(conversation, 'alice');
    restarted.lastSeq = 2;
  }
  // Plain numbers keep their old answers; they cannot tell one log from another.
  expect(await talk.expect(`POST ${path}/read`, 'bob', { seq: 99 })).toEqual({ unread: 0 });
  expect((await page(conversation, 'bob', '1')).entries.map(({ seq }) => seq)).toEqual([2]);
  expect(await refusal('POST /v1/ack', 'bob', { positions: { [conversation]: 9 } })).toMatchObject({
    code: 'position-ahead',
  });
  // And who has this log goes on.
  expect((await page(conversation, 'bob', known)).entries.map(({ seq }) => seq)).toEqual([2]);
  await talk.expect(`POST ${path}/messages`, 'bob', message(known));
  await talk.expect(`POST ${path}/commits`, 'bob', commit(known));
  await talk.expect(`POST ${path}/read`, 'bob', { seq: known });
});

test('outsiders get 404 whatever they state, and a former member learns nothing newer than its removal', async () => {
  const conversation = await talk.create('alice', 'bob');
  const path = `/v1/conversations/${conversation}`;
  await talk.say(conversation, 'alice');
  const seq = await talk.remove(conversation, 'alice', 'bob');
  await talk.say(conversation, 'alice');
  await talk.say(conversation, 'alice');
  const hidden = (await page(conversation, 'alice')).position;
  const positions = ['1', `1.${OTHER_MARK}`, hidden, `99.${OTHER_MARK}`];
  for (const position of positions) {
    const body = { id: randomUUID(), ciphertext: base64('hello'), position };
    expect(await refusal(`GET ${path}/messages?after=${position}`, 'mallory')).toMatchObject({ status: 404 });
    expect(await refusal(`GET ${path}/events?after=${position}`, 'mallory')).toMatchObject({ status: 404 });
    expect(await refusal(`POST ${path}/messages`, 'mallory', body)).toMatchObject({ status: 404 });
    expect(await refusal(`POST ${path}/positions`, 'mallory', { positions: [position] })).toMatchObject({
      status: 404,
    });
    expect(await refusal(`POST ${path}/read`, 'mallory', { seq: position })).toMatchObject({ status: 404 });
  }
  const restarted = { status: 409, code: 'log-restarted', lastSeq: seq, oldestSeq: 1 };
  for (const position of [hidden, `4.${OTHER_MARK}`, `99.${OTHER_MARK}`]) {
    const body = { id: randomUUID(), ciphertext: base64('hello'), position };
    expect(await refusal(`GET ${path}/messages?after=${position}`, 'bob')).toEqual(restarted);
    expect(await refusal(`POST ${path}/messages`, 'bob', body)).toEqual(restarted);
  }
  const [, removal] = (await page(conversation, 'bob')).entries;
  // At its end it is not restarted.
  expect(await refusal(`GET ${path}/messages?after=${positionOf(removal ?? { seq: 0 })}`, 'bob')).toMatchObject({
    status: 403,
    code: 'removed',
  });
});
