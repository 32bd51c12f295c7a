import pLimit from 'p-limit';
import { freePort } from '../../local/ports.ts';
import { describe, sleep } from '../load/closed-loop.ts';
import { type EventReader, messageIdOf, openEventReader } from '../load/event-reader.ts';
import { makeLatencyRecorder } from '../load/histogram.ts';
import { type MemoryUse, collectedMemory } from '../load/inspector.ts';
import { makeMessageBodies, messagesPath } from '../load/messages.ts';
import { openFileLimit } from '../load/open-files.ts';
import type { Servers } from '../harness/servers.ts';
import { makeTokensOf, userName } from '../load/tokens.ts';
import { describeAnswer, makeHttpSender } from '../load/http-sender.ts';
import { startContender } from './contender.ts';
import type { Measurement } from './measurement.ts';
import { FOLLOWED, followersOf } from './world.ts';

/** Number of streams that are opened at the same time. */
const OPENING = 32;
/** Number of streams that bring a new process to its working size before the measurement. */
const WARMING = 500;
/** Time for the work after an opening: catching up, and the first polls. */
const SETTLE_MS = 3000;
/** Number of messages while all streams are open, one every 20 ms. */
const MESSAGES = 150;
const PAUSE_MS = 20;
const ARRIVE_MS = 10_000;
/** Number of open files of a process besides its streams. */
const OTHER_FILES = 200;
const MB = 1024 * 1024;

export type StreamKind = 'conversation' | 'account';

/** A message that was sent. */
interface Sent {
  readonly at: number;
  left: number;
}

/**
 * Memory of one API process for each open stream, measured after a garbage collection, before and with `count` streams.
 * Each stream has its own user. A conversation has 4 of these users, and each user is in 5 conversations. Messages are
 * sent meanwhile and must all arrive.
 */
export async function measureStreams(given: {
  readonly kind: StreamKind;
  readonly servers: Servers;
  readonly databaseUrl: string;
  readonly count: number;
  readonly say: (line: string) => void;
}): Promise<Measurement[]> {
  const { kind, count, say } = given;
  const load = `streams-${kind}`;
  const files = openFileLimit();
  if (files < count + OTHER_FILES) {
    const error = `only ${files} open files are allowed (ulimit -n): ${count} streams need ${count + OTHER_FILES}`;
    return [{ load, contender: 'direct', values: {}, errors: [error] }];
  }
  const inspector = await freePort();
  const contender = await startContender({
    ...given,
    name: 'direct',
    suffix: `-${load}`,
    apiNodeArgs: [`--inspect=127.0.0.1:${inspector}`],
  });
  const http = makeHttpSender(contender.url, 8);
  const readers: EventReader[] = [];
  try {
    const followers = FOLLOWED.slice(0, count);
    const tokens = await makeTokensOf(followers.map(({ user }) => userName(user)));
    const errors: string[] = [];
    const recorder = makeLatencyRecorder();
    const sent = new Map<string, Sent>();
    let ended = 0;
    const onEvent = (text: string): void => {
      const message = sent.get(messageIdOf(text) ?? '');
      if (message === undefined) return;
      message.left--;
      recorder.record(performance.now() - message.at);
    };
    const open = async (numbers: readonly number[]): Promise<void> => {
      await pLimit(OPENING).map(numbers, async (number) => {
        const conversation = followers[number]?.conversations[0] ?? '';
        const path = kind === 'account' ? '/v1/events' : `/v1/conversations/${conversation}/events`;
        const reader = await openEventReader(`${contender.url}${path}`, tokens[number] ?? '', onEvent);
        void reader.ended.then(() => ended++);
        readers.push(reader);
      });
    };
    const all = followers.map((_, number) => number);

    await open(all.slice(0, WARMING));
    await sleep(SETTLE_MS);
    for (const reader of readers.splice(0)) reader.close();
    await sleep(SETTLE_MS);
    ended = 0;
    const before = await collectedMemory(inspector);

    const startedAt = performance.now();
    await open(all);
    const openSeconds = (performance.now() - startedAt) / 1000;
    await sleep(SETTLE_MS);
    const after = await collectedMemory(inspector);
    say(`${load}: ${count} streams in ${openSeconds.toFixed(1)} s`);

    const makeBody = makeMessageBodies();
    for (let i = 0; i < MESSAGES; i++) {
      const sender = Math.floor((i * count) / MESSAGES);
      const conversation = followers[sender]?.conversations[0] ?? '';
      const id = `streams-${i}`;
      sent.set(id, { at: performance.now(), left: followersOf(conversation, kind, count) });
      const answer = await http.post(messagesPath(conversation), tokens[sender] ?? '', makeBody(id));
      if (answer.status !== 200) errors.push(describeAnswer(answer));
      await sleep(PAUSE_MS);
    }
    const isMissing = ({ left }: Sent): boolean => left !== 0;
    for (let waited = 0; waited < ARRIVE_MS && [...sent.values()].some(isMissing); waited += PAUSE_MS) {
      await sleep(PAUSE_MS);
    }
    const missing = [...sent.values()].filter(isMissing).length;
    if (missing > 0) errors.push(`${missing} messages did not arrive exactly once at each stream`);
    if (ended > 0) errors.push(`${ended} streams ended`);
    const busy = await collectedMemory(inspector);
    const kb = (one: keyof MemoryUse, end: MemoryUse = after): number => (end[one] - before[one]) / 1024 / count;
    const { p50, p95, max } = recorder.summary();
    const values = {
      streams: count,
      beforeMb: before.rss / MB,
      afterMb: after.rss / MB,
      kbPerStream: kb('rss'),
      heapKbPerStream: kb('heapUsed') + kb('external'),
      kbPerStreamBusy: kb('rss', busy),
      openSeconds,
      arrivalP50: p50,
      arrivalP95: p95,
      arrivalMax: max,
    };
    return [{ load, contender: 'direct', values, errors }];
  } catch (error) {
    return [{ load, contender: 'direct', values: {}, errors: [describe(error)] }];
  } finally {
    for (const reader of readers) reader.close();
    await http.close();
    await contender.stop();
  }
}
