import { readFileSync } from 'node:fs';
import { freePort } from '../../local/ports.ts';
import { describe, sleep } from '../load/closed-loop.ts';
import { type EventReader, openEventReader } from '../load/event-reader.ts';
import { makeLatencyRecorder } from '../load/histogram.ts';
import { type MemoryUse, collectedMemory } from '../load/inspector.ts';
import { makeMessageBodies, messagesPath } from '../load/messages.ts';
import type { Servers } from '../harness/servers.ts';
import { makeTokensOf, userName } from '../load/tokens.ts';
import { makeHttpSender } from '../load/http-sender.ts';
import { startContender } from './contender.ts';
import type { Measurement } from './measurement.ts';
import { FOLLOWED, followersOf } from './world.ts';

/** Streams opened at a time. */
const OPENING = 32;
/** Streams that bring a fresh process to its working size before anything is counted. */
const WARMING = 500;
/** Time for what follows an opening: catching up, and the first polls. */
const SETTLE_MS = 3000;
/** Messages while all streams are open, one each 20 ms. */
const MESSAGES = 150;
const PAUSE_MS = 20;
const ARRIVE_MS = 10_000;
/** Files that a process has open beside its streams. */
const OTHER_FILES = 200;
const MB = 1024 * 1024;
const PREFIX = '"id":"';

export type StreamKind = 'conversation' | 'account';

/** A message, while it is on its way. */
interface Sent {
  readonly at: number;
  left: number;
}

/**
 * Memory of one API process for each open stream: after a garbage collection, before and with `count` streams, of as many
 * users, 4 in each conversation and each in 5 conversations. Messages are sent meanwhile, and must all arrive.
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
      const start = text.indexOf(PREFIX);
      if (start < 0) return;
      const message = sent.get(text.slice(start + PREFIX.length, text.indexOf('"', start + PREFIX.length)));
      if (message === undefined) return;
      message.left--;
      recorder.record(performance.now() - message.at);
    };
    const open = async (numbers: readonly number[]): Promise<void> => {
      const waiting = [...numbers].reverse();
      const run = async (): Promise<void> => {
        for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
          const conversation = followers[next]?.conversations[0] ?? '';
          const path = kind === 'account' ? '/v1/events' : `/v1/conversations/${conversation}/events`;
          const reader = await openEventReader(`${contender.url}${path}`, tokens[next] ?? '', onEvent);
          void reader.ended.then(() => ended++);
          readers.push(reader);
        }
      };
      await Promise.all(Array.from({ length: OPENING }, run));
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
      const { status, body } = await http.post(messagesPath(conversation), tokens[sender] ?? '', makeBody(id));
      if (status !== 200) errors.push(`HTTP ${status}: ${body.slice(0, 200)}`);
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

/** Files that this process and those it starts may have open (proc(5)); no limit is known elsewhere. */
function openFileLimit(): number {
  try {
    const soft = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return soft === undefined || soft === 'unlimited' ? Infinity : Number(soft);
  } catch {
    return Infinity;
  }
}
