import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Entry } from '../../client/index.ts';
import { type EventStream, entriesOf } from '../../tools/harness/event-stream.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { base64 } from '../harness/api/conversations.ts';
import { keepConversation } from '../harness/kept-conversation.ts';
import { send } from '../harness/requests.ts';
import { type Replica, useReplicas } from '../harness/streams/replica.ts';

const {
  database,
  talk,
  replicas: [one, deaf],
} = useReplicas({}, { deaf: true });

const positionOf = ({ seq, chain = '' }: Pick<Entry, 'seq' | 'chain'>): string =>
  `${seq}.${Buffer.from(chain, 'base64').subarray(0, 12).toString('base64url')}`;

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
    const { status, body } = await this.#ask(`GET /messages?limit=50&after=${this.position}`);
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
  for (let round = 0; round < 4; round++) {
    const restore = await again(() => keepConversation(pool, conversation));
    const kept = await lastSeqOf(conversation);
    await waitUntil(async () => (await lastSeqOf(conversation)) > kept + 3, { what: 'there is more' });
    await pool
      .query(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
      )
      .catch(() => undefined);
    await waitUntil(() => sleeper.readPages().catch(() => false), { what: 'the sleeper reads' });
    const seen = sleeper.view.length;
    await again(restore);
    // The log is longer again before the sleeper looks.
    const more = Array.from({ length: Math.max(1, seen + 1 - kept) }, () => {
      const id = randomUUID();
      return { kind: 'message', id, actor: 'carol', body: id } as const;
    });
    await again(() => send(pool, conversation, more));
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
  return talk.expect(`GET /v1/conversations/${conversation}`, 'alice').then(
    ({ lastSeq }) => Number(lastSeq),
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
