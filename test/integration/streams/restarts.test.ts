import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Entry } from '../../../client/index.ts';
import { type EventStream, entriesOf, seqsOf, signalsOf } from '../../../tools/harness/event-stream.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { base64 } from '../../harness/api/conversations.ts';
import { keepConversation } from '../../harness/rollback.ts';
import { wordsOf } from '../../harness/streams/delivered.ts';
import { type Replica, useReplicas } from '../../harness/streams/replica.ts';

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

/** One who reads, by pages or by a stream, and is never silently wrong. */
class Reader {
  readonly view: Entry[] = [];
  told = 0;
  readonly #conversation: string;
  readonly #replica: Replica;
  readonly #user: string;

  constructor(replica: Replica, conversation: string, user: string) {
    this.#replica = replica;
    this.#conversation = conversation;
    this.#user = user;
  }

  get position(): string {
    const last = this.view.at(-1);
    return last === undefined ? '0' : positionOf(last);
  }

  /** Takes what there is by pages. @returns whether it came to the end */
  async readPages(): Promise<boolean> {
    const { status, body } = await this.#ask(`GET /messages?limit=3&after=${this.position}`);
    if (status === 409) return this.#agree();
    if (status !== 200) return false;
    this.#take(body.entries as Entry[]);
    return body.next === undefined || this.readPages();
  }

  /** Follows the stream for some entries. */
  async follow(): Promise<void> {
    let stream: EventStream;
    try {
      stream = await this.#replica.followOne(this.#conversation, this.#user, { after: this.position });
    } catch {
      return;
    }
    const hasSome = (): boolean => stream.endedAt() !== undefined || entriesOf(stream).length > 2;
    if (stream.status === 200) await waitUntil(hasSome, { what: 'entries', timeoutMs: 500 }).catch(() => undefined);
    stream.close();
    this.#take(entriesOf(stream));
    if (stream.status === 409 || stream.events.some(({ event }) => event === 'log-restarted')) await this.#agree();
  }

  async say(): Promise<void> {
    await this.#ask('POST /messages', {
      id: randomUUID(),
      ciphertext: base64(randomUUID()),
      ...(this.view.length === 0 ? {} : { position: this.position }),
    });
  }

  #ask(what: string, body?: unknown): ReturnType<Replica['service']['ask']> {
    const [method = '', rest = ''] = what.split(' ');
    const user = this.#user;
    const path = `${method} /v1/conversations/${this.#conversation}${rest}`;
    return this.#replica.service.ask(path, body === undefined ? { user } : { user, body });
  }

  #take(entries: readonly Entry[]): void {
    for (const entry of entries) {
      expect(entry.seq).toBe(this.view.length + 1);
      this.view.push(entry);
    }
  }

  async #agree(): Promise<boolean> {
    this.told++;
    const positions = this.view.slice(-64).map(positionOf);
    if (positions.length === 0) return false;
    const { status, body } = await this.#ask('POST /positions', { positions });
    if (status !== 200) return false;
    const seq = Number.parseInt((body.agreed as string | null) ?? '0', 10);
    this.view.splice(seq);
    return false;
  }
}

test('under load, restores and crashes every reader ends with the log, or was told that it changed (invariant 13)', async () => {
  const { pool } = database();
  const conversation = await talk.create('alice', 'bob', 'carol', 'dave');
  await talk.say(conversation, 'alice');
  const users = ['alice', 'bob', 'carol', 'dave'];
  const readers = [one, deaf].flatMap((replica) => users.map((user) => new Reader(replica, conversation, user)));
  // Looks only when the log is longer again than what it has: then no number tells it anything.
  const sleeper = new Reader(one, conversation, 'dave');
  let isOver = false;
  const work = readers.map(async (reader, i) => {
    while (!isOver) {
      if (i % 2 === 0) await reader.readPages().catch(failedQuery);
      else await reader.follow();
      await reader.say().catch(failedQuery);
    }
  });
  for (let round = 0; round < 6; round++) {
    const restore = await again(() => keepConversation(pool, conversation));
    const lastSeq = await lastSeqOf(conversation);
    await waitUntil(async () => (await lastSeqOf(conversation)) > lastSeq + 3, { what: 'there is more' });
    await pool
      .query(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
      )
      .catch(() => undefined);
    await waitUntil(() => sleeper.readPages().catch(() => false), { what: 'the sleeper reads' });
    const seen = sleeper.view.length;
    await again(restore);
    await waitUntil(async () => (await lastSeqOf(conversation)) > seen, { what: 'the log is longer again' });
  }
  isOver = true;
  await Promise.all(work);
  const { rows } = await pool.query<{ chain: string }>(
    `select encode(e.chain, 'base64') as chain from conversation c join entry e on e.conversation = c.key
     where c.id = $1 order by e.seq`,
    [conversation],
  );
  const log = rows.map(({ chain }) => chain);
  for (const reader of [...readers, sleeper]) {
    await waitUntil(() => reader.readPages(), { what: 'it reads to the end' });
    expect(reader.view.map(({ chain }) => chain)).toEqual(log);
  }
  expect(readers.reduce((sum, { told }) => sum + told, 0)).toBeGreaterThan(0);
}, 60_000);

/** 0 while connections are cut. */
function lastSeqOf(conversation: string): Promise<number> {
  return page(conversation, 'alice').then(
    ({ lastSeq }) => lastSeq,
    () => 0,
  );
}

/** While connections are cut, requests may fail. */
function failedQuery(error: unknown): void {
  if (!(error instanceof Error) || error.name === 'AssertionError') throw error;
}

/** Until it succeeds: connections are cut. */
async function again<T>(task: () => Promise<T>): Promise<T> {
  const results: T[] = [];
  await waitUntil(
    () =>
      task().then(
        (result) => results.push(result) > 0,
        () => false,
      ),
    { what: 'it succeeds' },
  );
  const [result] = results;
  return result as T;
}
