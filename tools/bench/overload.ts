import { randomBytes } from 'node:crypto';
import { type LoadResult, describe, sleep } from '../load/closed-loop.ts';
import { makeLatencyRecorder } from '../load/histogram.ts';
import { type Answer, type HttpSender, describeAnswer, expectStatus, makeHttpSender } from '../load/http-sender.ts';
import { makeMessageBodies, messagesPath } from '../load/messages.ts';
import { openLoop } from '../load/open-loop.ts';
import { below, makeRandom } from '../load/random.ts';
import type { CaseContext } from './case.ts';
import { type Measurement, makeCpuMeter, toMeasurement } from './measurement.ts';
import { CONVERSATIONS } from './world.ts';

/** Ten times what the workflow path decides with many conversations. */
const OFFERED_PER_SECOND = 1300;
/** All senders are members of every conversation of the case. */
const SENDERS = 64;
/** So many that a request waits in the service, and not for a connection. */
const CONNECTIONS = 2000;
const COMMIT_PAUSE_MS = 500;
const CREATED = 201;

export const OVERLOAD = `${OFFERED_PER_SECOND} messages/s over 200 conversations, whatever is answered, and one committer`;

/**
 * More messages than the service can decide, at fixed times, whether it answers or not, and one committer beside them. What
 * is refused with `overloaded` is no failure; it is the share that was shed. The first measurement counts accepted messages,
 * the second commits.
 */
export async function measureOverload({
  contender,
  messenger,
  warmUpMs,
  measureMs,
}: CaseContext): Promise<Measurement[]> {
  const http = makeHttpSender(contender.url, CONNECTIONS);
  const random = makeRandom(3);
  const makeBody = makeMessageBodies();
  const prefix = randomBytes(6).toString('hex');
  const { spread } = CONVERSATIONS;
  const token = (sender: number): string => messenger.tokens[sender] ?? '';
  let shed = 0;
  let offered = 0;
  const send = async (request: number): Promise<void> => {
    const conversation = spread[below(random, spread.length)] ?? '';
    offered++;
    const answer = await http.post(
      messagesPath(conversation),
      token(request % SENDERS),
      makeBody(`${prefix}-${request}`),
    );
    if (answer.status === 200) return;
    if (!isOverloaded(answer)) throw new Error(describeAnswer(answer));
    shed++;
    throw new Error(SHED);
  };
  const committer = startCommitter(http, token(0));
  try {
    const meter = makeCpuMeter(contender.pids);
    const result = await openLoop({ perSecond: OFFERED_PER_SECOND, warmUpMs, measureMs, ...meter, send });
    const commits = await committer.stop();
    const failures = result.failures.filter((failure) => failure !== SHED);
    const messages = toMeasurement('overload', contender.name, { ...result, failures }, meter.used());
    return [
      { ...messages, values: { ...messages.values, shedPercent: (100 * shed) / offered } },
      toMeasurement('overload-commits', contender.name, commits),
    ];
  } finally {
    await committer.stop();
    await http.close();
  }
}

const SHED = 'shed';

function isOverloaded({ status, body }: Answer): boolean {
  return status === 503 && body.includes('"code":"overloaded"');
}

/** Commits twice a second in a conversation of its own. */
function startCommitter(http: HttpSender, token: string): { stop: () => Promise<LoadResult> } {
  const recorder = makeLatencyRecorder();
  const failures: string[] = [];
  const startedAt = performance.now();
  let isOver = false;
  const run = async (): Promise<void> => {
    const id = randomBytes(16).toString('base64url');
    const body = { id, protocol: 'opaque', policy: { groupInfo: 'optional' } };
    try {
      expectStatus(await http.post('/v1/conversations', token, JSON.stringify(body)), CREATED);
    } catch (error) {
      failures.push(describe(error));
      return;
    }
    while (!isOver) {
      const from = performance.now();
      try {
        const commit = JSON.stringify({ commit: randomBytes(1000).toString('base64') });
        expectStatus(await http.post(`/v1/conversations/${id}/commits`, token, commit));
        recorder.record(performance.now() - from);
      } catch (error) {
        failures.push(describe(error));
      }
      await sleep(COMMIT_PAUSE_MS);
    }
  };
  const running = run();
  return {
    stop: async () => {
      isOver = true;
      await running;
      return { seconds: (performance.now() - startedAt) / 1000, latency: recorder.summary(), failures };
    },
  };
}
