import { randomBytes } from 'node:crypto';
import { sleep } from '../load/closed-loop.ts';
import { type EventReader, messageIdOf, openEventReader } from '../load/event-reader.ts';
import { makeLatencyRecorder } from '../load/histogram.ts';
import { expectStatus, makeHttpSender } from '../load/http-sender.ts';
import { makeMessageBodies, messagesPath } from '../load/messages.ts';
import { openLoop } from '../load/open-loop.ts';
import { makeTokensOf } from '../load/tokens.ts';
import type { CaseContext } from './case.ts';
import { type Measurement, makeCpuMeter, toMeasurement } from './measurement.ts';

const MEMBERS = 50;
const PER_SECOND = 100;
/** A message that has not arrived after this time is counted as lost. */
const ARRIVE_MS = 10_000;
const POLL_MS = 20;

/** A message that was sent. Times are in milliseconds, by the clock of this process. */
interface Sent {
  readonly sender: number;
  readonly sentAt: number;
  answeredAt: number;
  readonly isMeasured: boolean;
  /** Arrival time by member. NaN = not arrived yet. */
  readonly arrivals: Float64Array;
}

/**
 * A conversation of 50 members with one open stream each: half of them read the stream of the conversation, the others
 * their account stream. Each pair of a message and a reader other than its sender gives one latency. `fan-out` counts
 * from the answer that accepts the message, `fan-out-sent` from the start of the request.
 */
export async function measureFanOut({ contender, warmUpMs, measureMs }: CaseContext): Promise<Measurement[]> {
  // Use new names each time: a stream of an old conversation would begin with all earlier messages.
  const name = randomBytes(16).toString('base64url');
  const users = Array.from({ length: MEMBERS }, (_, number) => `${name}-${number}`);
  const tokens = await makeTokensOf(users);
  const http = makeHttpSender(contender.url, MEMBERS);
  const readers: EventReader[] = [];
  const failures: string[] = [];
  const sent = new Map<string, Sent>();
  try {
    const creation = JSON.stringify({ id: name, protocol: 'opaque', members: users });
    expectStatus(await http.post('/v1/conversations', tokens[0] ?? '', creation), 201);
    for (const [member, token] of tokens.entries()) {
      const path = isAccount(member) ? '/v1/events' : `/v1/conversations/${name}/events`;
      const onEvent = (text: string): void => {
        const message = sent.get(messageIdOf(text) ?? '');
        if (message === undefined) return;
        if (!Number.isNaN(message.arrivals[member])) failures.push('a message came twice to one stream');
        message.arrivals[member] = performance.now();
      };
      readers.push(await openEventReader(`${contender.url}${path}`, token, onEvent));
    }
    const makeBody = makeMessageBodies();
    const meter = makeCpuMeter(contender.pids);
    let measuring = false;
    const result = await openLoop({
      perSecond: PER_SECOND,
      warmUpMs,
      measureMs,
      onStart: () => {
        measuring = true;
        meter.onStart();
      },
      onEnd: meter.onEnd,
      send: async (request) => {
        const id = `${name}-m${request}`;
        const sender = request % MEMBERS;
        const arrivals = new Float64Array(MEMBERS).fill(NaN);
        const message: Sent = { sender, sentAt: performance.now(), answeredAt: NaN, isMeasured: measuring, arrivals };
        sent.set(id, message);
        const answer = await http.post(messagesPath(name), tokens[sender] ?? '', makeBody(id));
        message.answeredAt = performance.now();
        expectStatus(answer);
      },
    });
    failures.push(...result.failures);
    const messages = [...sent.values()];
    const isWhole = ({ arrivals }: Sent): boolean => arrivals.every((at) => !Number.isNaN(at));
    for (let waited = 0; waited < ARRIVE_MS && !messages.every(isWhole); waited += POLL_MS) await sleep(POLL_MS);
    const lost = messages.filter((message) => !isWhole(message)).length;
    if (lost > 0) failures.push(`${lost} messages did not reach every stream`);

    const measured = messages.filter(({ isMeasured }) => isMeasured);
    const summary = (
      of: (member: number) => boolean,
      since: (message: Sent) => number,
    ): ReturnType<typeof toMeasurement>['values'] => {
      const recorder = makeLatencyRecorder();
      for (const message of measured) {
        for (const [member, at] of message.arrivals.entries()) {
          // A message can arrive on a stream before the sender gets its answer.
          if (member !== message.sender && of(member) && !Number.isNaN(at)) recorder.record(at - since(message));
        }
      }
      const { seconds } = result;
      return toMeasurement('', contender.name, { seconds, latency: recorder.summary(), failures: [] }).values;
    };
    const everybody = (): boolean => true;
    const answered = ({ answeredAt }: Sent): number => answeredAt;
    const rows: [string, Measurement['values']][] = [
      // The CPU time counts per message, not per arrival.
      ['fan-out-send', toMeasurement('', contender.name, result, meter.used()).values],
      ['fan-out', summary(everybody, answered)],
      ['fan-out-sent', summary(everybody, ({ sentAt }) => sentAt)],
      ['fan-out-conversation', summary((member) => !isAccount(member), answered)],
      ['fan-out-account', summary(isAccount, answered)],
    ];
    return rows.map(([load, values], i) => ({
      load,
      contender: contender.name,
      values,
      errors: i === 0 ? failures : [],
    }));
  } finally {
    for (const reader of readers) reader.close();
    await http.close();
  }
}

function isAccount(member: number): boolean {
  return member % 2 === 1;
}
