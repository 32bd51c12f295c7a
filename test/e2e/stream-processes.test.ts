import { randomBytes, randomUUID } from 'node:crypto';
import type { ParleyClient } from '../../client/index.ts';
import { toBase64, toBase64Url } from '../../client/index.ts';
import { expect, test, vi } from 'vitest';
import { useCleanup } from '../harness/cleanup.ts';
import { print } from '../harness/print.ts';
import { useService } from '../harness/service.ts';
import {
  type EventStream,
  seqsOf as entrySeqsOf,
  openAccountStream,
  openEventStream,
} from '../../tools/harness/event-stream.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { seqsOf, delivered, untilEnd, untilDelivered, wordsOf } from '../harness/streams/delivered.ts';

vi.setConfig({ testTimeout: 180_000 });

/** One for each execution path: the first API process uses the workflow, the second decides directly. */
const PATHS = ['workflow', 'direct'];
const service = useService({ workers: 1, apiEnv: PATHS.map((path) => ({ CONVERSATION_PATH: path })) });
const later = useCleanup();
let count = 0;
const someone = (name: string): string => `${name}-${++count}`;

const urlOf = (index: number): string => service().apis[index % PATHS.length]?.url ?? '';
const as = (user: string, index = 0, device = 'phone'): ParleyClient =>
  service().clientOf(user, { api: index % PATHS.length, device });

async function create(...users: string[]): Promise<string> {
  const id = toBase64Url(randomBytes(18));
  const [creator = '', ...members] = users;
  await as(creator).createConversation({ id, protocol: 'opaque', members, policy: { externalJoin: 'nobody' } });
  return id;
}

async function follow(user: string, index: number, device = 'phone'): Promise<EventStream> {
  const stream = await openAccountStream(urlOf(index), await service().token(user, { device }));
  later('stream', stream.close);
  return stream;
}

/** Sends until a process accepts it; one of them may be down. */
async function say(conversation: string, user: string, index: number): Promise<void> {
  const message = { id: randomUUID(), ciphertext: toBase64(randomBytes(40)) };
  for (let turn = index; ; turn++) {
    try {
      await as(user, turn).send(conversation, message);
      return;
    } catch (error) {
      if (turn > index + 5) throw error;
    }
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

test('a device that reconnects at random, to processes of which one is killed, misses nothing that it did not acknowledge (invariants 5 and 9)', async () => {
  const users = ['alice', 'bob', 'carol'].map(someone);
  const [alice = '', bob = ''] = users;
  const conversations = await Promise.all([create(...users), create(...users), create(...users)]);
  const each = 60;
  const state = { isSending: true };
  const sending = Promise.all(
    users.map(async (user, i) => {
      for (let n = 0; n < each; n++) await say(conversations[(i + n) % 3] ?? '', user, i + n);
    }),
  ).finally(() => (state.isSending = false));

  const processed = new Map(conversations.map((id) => [id, 0]));
  const acknowledged = new Map(processed);
  const lastSeqs = async (): Promise<number[]> =>
    Promise.all(conversations.map(async (id) => (await as(alice, 1).conversation(id)).lastSeq));
  const hasAll = async (): Promise<boolean> =>
    !state.isSending && (await lastSeqs()).every((last, i) => processed.get(conversations[i] ?? '') === last);
  const take = (stream: EventStream): void => {
    for (const id of conversations) {
      const seqs = seqsOf(stream, id);
      const start = (acknowledged.get(id) ?? 0) + 1;
      // Everything after the acknowledged entry, in order, once on this connection.
      expect(seqs).toEqual(range(start, start + seqs.length - 1));
      processed.set(id, Math.max(processed.get(id) ?? 0, seqs.at(-1) ?? 0));
    }
  };
  for (let turn = 0; !(await hasAll()); turn++) {
    const stream = await follow(bob, turn);
    const enough = 5 + Math.floor(Math.random() * 40);
    await waitUntil(
      () => delivered(stream).filter(({ event }) => event === 'entry').length >= enough || !state.isSending,
      {
        what: 'entries come',
        timeoutMs: 30_000,
      },
    );
    if (turn === 2) {
      await service().replace('api', 0);
    }
    if (!state.isSending) {
      const last = await lastSeqs();
      await waitUntil(
        () =>
          conversations.every((id, i) => (seqsOf(stream, id).at(-1) ?? acknowledged.get(id)) === last[i]) ||
          stream.endedAt() !== undefined,
        {
          what: 'the rest comes',
        },
      );
    }
    stream.close();
    take(stream);
    // Acknowledges a part, and not always: the rest comes again.
    const positions = [...processed].filter(() => Math.random() < 0.6);
    const { positions: stored } = await as(bob, turn + 1).ack(Object.fromEntries(positions));
    for (const [id, seq] of positions) {
      expect(stored[id]).toBe(seq);
      acknowledged.set(id, seq);
    }
  }
  await sending;
  expect([...processed.values()].reduce((sum, seq) => sum + seq, 0)).toBe(users.length * each);
});

test('a user who is added while others send gets the Welcome, then the event `new`, then the entries, in every process (invariants 5, 6 and 9)', async () => {
  const alice = someone('alice');
  const conversation = await create(alice);
  const joiners = Array.from({ length: 12 }, () => someone('joiner'));
  const streams = await Promise.all(joiners.flatMap((user) => [follow(user, 0, 'a'), follow(user, 1, 'b')]));
  const state = { isSending: true };
  const sending = (async () => {
    for (let n = 0; state.isSending; n++) await say(conversation, alice, n);
  })();
  const joined = await Promise.all(
    joiners.map((user, i) =>
      as(alice, i).commit(conversation, {
        commit: toBase64(randomBytes(20)),
        adds: [user],
        welcome: toBase64(randomBytes(50)),
      }),
    ),
  );
  state.isSending = false;
  await sending;
  const { lastSeq } = await as(alice).conversation(conversation);
  for (const [i, stream] of streams.entries()) {
    const user = joiners[i >> 1] ?? '';
    const seq = joined[i >> 1]?.seq ?? 0;
    await waitUntil(() => seqsOf(stream, conversation).at(-1) === lastSeq, { what: 'everything came' });
    expect(wordsOf(stream, conversation).slice(0, 4)).toEqual([`welcome ${seq}`, 'new', String(seq), `+${user}`]);
    expect(seqsOf(stream, conversation)).toEqual(range(seq, lastSeq));
    stream.close();
  }
});

test.each([0, 1])(
  'a removal ends the stream of the conversation, and is delivered on account streams, on execution path %i (invariants 8 and 9)',
  async (index) => {
    const [alice, bob] = [someone('alice'), someone('bob')];
    const conversation = await create(alice, bob);
    const own = await Promise.all(
      [0, 1].map(async (i) => openEventStream(urlOf(i), conversation, await service().token(bob, { device: 'c' }))),
    );
    const accounts = await Promise.all([follow(bob, 0, 'a'), follow(bob, 1, 'b')]);
    for (const account of accounts) await untilDelivered(account, conversation, ['new', `+${alice}`, `+${bob}`]);
    const { seq } = await as(alice, index).removeMember(conversation, bob);
    const removedAt = performance.now();
    await say(conversation, alice, index);
    for (const stream of own) {
      expect(await untilEnd(stream)).toEqual({ event: 'removed', seq });
      expect(entrySeqsOf(stream)).toEqual([seq]);
      print(`closed ${Math.round((stream.endedAt() ?? 0) - removedAt)} ms after the answer`);
    }
    for (const account of accounts) {
      await untilDelivered(account, conversation, [
        'new',
        `+${alice}`,
        `+${bob}`,
        String(seq),
        `-${bob}`,
        `removed ${seq}`,
      ]);
      expect(account.endedAt()).toBeUndefined();
      account.close();
    }
  },
);

test('a newer stream of a device ends the older one of another process', async () => {
  const bob = someone('bob');
  const first = await follow(bob, 0);
  const second = await follow(bob, 1);
  expect(await untilEnd(first)).toEqual({ event: 'replaced' });
  const conversation = await create(someone('alice'), bob);
  await waitUntil(() => wordsOf(second, conversation).includes('new'), { what: 'the newer one delivers' });
  second.close();
});
