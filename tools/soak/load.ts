import { randomBytes } from 'node:crypto';
import pLimit from 'p-limit';
import { rememberTokens } from '../harness/tokens.ts';
import { describe, sleep } from '../load/closed-loop.ts';
import { type EventReader, messageIdOf, openEventReader } from '../load/event-reader.ts';
import { type Latency, makeLatencyRecorder } from '../load/histogram.ts';
import { describeAnswer, makeHttpSender } from '../load/http-sender.ts';
import { bytesOf, messagesPath } from '../load/messages.ts';
import { openLoop } from '../load/open-loop.ts';
import { below, makeRandom } from '../load/random.ts';
import { userName } from '../load/tokens.ts';
import { type Circles, manyId, membersOf } from '../load/seed-many.ts';
import type { Acknowledged } from '../stress/sender.ts';
import { makeLedger } from './ledger.ts';
import type { SoakSize } from './options.ts';

/** Users share eight conversations with seven others. */
export const CIRCLE = { each: 8, members: 8 };
/** Half of the messages go to a tenth of the conversations, so that some runs become long and continue as new. */
const BUSY_SHARE = 0.1;
/** One of so many requests is a commit. */
const COMMIT_EVERY = 100;
const CONNECTIONS = 256;
const OPENING = 32;
/** Longer than any outage that a run survives. */
const PATIENCE_MS = 60_000;
const PAUSE_MS = 50;
/** Time in which the last messages reach the streams. */
const ARRIVE_MS = 15_000;

/** What happened since the last look. */
export interface LoadWindow {
  /** From the start of a request to its answer, with what was sent again. */
  readonly latency: Latency;
  /** From the start of a request to each stream of the conversation. */
  readonly delivery: Latency;
  /** Requests that were sent again with the same id. */
  readonly retries: number;
}

/** Steady traffic with open streams. */
export interface SoakLoad {
  /** Sends until the time is over or the signal comes, and waits for the answers and the streams. */
  readonly run: (signal: AbortSignal) => Promise<void>;
  readonly window: () => LoadWindow;
  readonly acknowledged: () => Acknowledged[];
  readonly count: () => number;
  readonly commits: () => number;
  /** Messages on their way to streams. */
  readonly undelivered: () => number;
  readonly problems: readonly string[];
  readonly close: () => Promise<void>;
}

/** Opens the streams. @param circles the conversations, with `manyId` */
export async function startLoad(
  urls: readonly string[],
  circles: Circles,
  size: SoakSize & { readonly seed: number },
): Promise<SoakLoad> {
  const random = makeRandom(size.seed);
  const ids = Array.from({ length: circles.conversations }, (_, n) => manyId(circles.name, n));
  const ledger = makeLedger(randomBytes(6).toString('hex'));
  const senders = urls.map((url) => makeHttpSender(url, CONNECTIONS));
  const tokenOf = rememberTokens();
  const token = async (user: number): Promise<string> => `Bearer ${await tokenOf(userName(user))}`;
  const problems: string[] = [];
  const onTheirWay = new Map<string, { readonly at: number; left: number }>();
  let latency = makeLatencyRecorder();
  let delivery = makeLatencyRecorder();
  let retries = 0;
  let commits = 0;
  let isClosing = false;

  const onEvent = (text: string): void => {
    const id = messageIdOf(text);
    const message = id === undefined ? undefined : onTheirWay.get(id);
    if (message === undefined || id === undefined) return;
    delivery.record(performance.now() - message.at);
    if (--message.left === 0) onTheirWay.delete(id);
  };
  // The first half are streams of devices, the others of one conversation each.
  const isDevice = (stream: number): boolean => stream < size.streams / 2;
  const followed = (stream: number): number => Math.min(stream, circles.conversations - 1);
  const userOf = (stream: number): number =>
    isDevice(stream) ? stream : (membersOf(circles, followed(stream))[0] ?? 0);
  const listeners = ids.map(() => 0);
  const readers: EventReader[] = [];
  await pLimit(OPENING).map(
    Array.from({ length: size.streams }, (_, stream) => stream),
    async (stream) => {
      const path = isDevice(stream) ? '/v1/events' : `/v1/conversations/${ids[followed(stream)] ?? ''}/events`;
      const url = urls[stream % urls.length] ?? '';
      const reader = await openEventReader(`${url}${path}`, await token(userOf(stream)), onEvent);
      void reader.ended.then(() => isClosing || problems.push(`stream ${stream} ended`));
      readers.push(reader);
    },
  );
  for (let stream = 0; stream < size.streams; stream++) {
    const heard = isDevice(stream)
      ? ids.flatMap((_, n) => (membersOf(circles, n).includes(stream) ? [n] : []))
      : [followed(stream)];
    for (const n of heard) listeners[n] = (listeners[n] ?? 0) + 1;
  }

  const busy = Math.max(1, Math.floor(ids.length * BUSY_SHARE));
  const send = async (request: number): Promise<void> => {
    const from = performance.now();
    // Spread over the circles, because neighbours have the same listeners.
    const n = random() < 0.5 ? (below(random, busy) * 9) % ids.length : below(random, ids.length);
    const user = membersOf(circles, n)[below(random, circles.members)] ?? 0;
    const { id, number } = ledger.next(n);
    const isCommit = request % COMMIT_EVERY === COMMIT_EVERY - 1;
    const bytes = bytesOf(id).toString('base64');
    const path = isCommit ? `/v1/conversations/${ids[n] ?? ''}/commits` : messagesPath(ids[n] ?? '');
    const body = JSON.stringify(isCommit ? { id, commit: bytes } : { id, ciphertext: bytes });
    if ((listeners[n] ?? 0) > 0) onTheirWay.set(id, { at: from, left: listeners[n] ?? 0 });
    const http = senders[request % senders.length];
    for (const end = from + PATIENCE_MS; ; retries++) {
      const answer = await http?.post(path, await token(user), body).catch(describe);
      if (typeof answer === 'object' && answer.status === 200) {
        ledger.acknowledge(number, seqOf(answer.body));
        if (isCommit) commits++;
        latency.record(performance.now() - from);
        return;
      }
      const why = typeof answer === 'object' ? describeAnswer(answer) : String(answer);
      if ((typeof answer === 'object' && answer.status !== 503) || performance.now() > end) {
        onTheirWay.delete(id);
        throw new Error(`${isCommit ? 'commit' : 'message'} ${id}: ${why}`);
      }
      await sleep(PAUSE_MS);
    }
  };
  return {
    problems,
    commits: () => commits,
    count: ledger.count,
    undelivered: () => onTheirWay.size,
    acknowledged: () => ledger.all(ids),
    window: () => {
      const seen = { latency: latency.summary(), delivery: delivery.summary(), retries };
      latency = makeLatencyRecorder();
      delivery = makeLatencyRecorder();
      retries = 0;
      return seen;
    },
    run: async (signal) => {
      const { perSecond, seconds } = size;
      const { failures } = await openLoop({ perSecond, warmUpMs: 0, measureMs: seconds * 1000, send, signal });
      problems.push(...failures);
      for (let waited = 0; waited < ARRIVE_MS && onTheirWay.size > 0; waited += PAUSE_MS) await sleep(PAUSE_MS);
      if (onTheirWay.size > 0) problems.push(`${onTheirWay.size} messages did not reach all streams`);
    },
    close: async () => {
      isClosing = true;
      for (const reader of readers) reader.close();
      await Promise.all(senders.map((http) => http.close()));
    },
  };
}

/** Messages answer with a list of results, commits with one. */
function seqOf(body: string): number {
  const answer = JSON.parse(body) as { seq?: number; results?: { seq: number }[] };
  return answer.seq ?? answer.results?.[0]?.seq ?? Number.NaN;
}
