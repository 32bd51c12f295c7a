import { randomBytes } from 'node:crypto';
import { describe } from '../load/closed-loop.ts';
import { makeLatencyRecorder } from '../load/histogram.ts';
import { openLoop } from '../load/open-loop.ts';
import { below, makeRandom } from '../load/random.ts';
import { conversationId, seedConversations } from '../load/seed.ts';
import { type StressReport, reportOn } from './report.ts';
import { STRESS_USERS, makeStressSender } from './sender.ts';
import type { StressService } from './stress-service.ts';

const SENDERS = 64;
const PER_SECOND = 100;

/** Sends the same number of messages to every conversation, as fast as the service accepts them. */
export async function runMany(
  service: StressService,
  options: { readonly conversations: number; readonly messages: number },
): Promise<StressReport> {
  const conversations = await makeConversations(service, options.conversations);
  const sender = await makeStressSender(service.urls()[0] ?? '');
  const recorder = makeLatencyRecorder();
  const failures: string[] = [];
  const total = conversations.length * options.messages;
  let next = 0;
  const startedAt = performance.now();
  const run = async (): Promise<void> => {
    while (next < total) {
      const number = next++;
      const from = performance.now();
      try {
        await sender.send(conversations[number % conversations.length] ?? '', number);
        recorder.record(performance.now() - from);
      } catch (error) {
        failures.push(describe(error));
      }
    }
  };
  await Promise.all(Array.from({ length: SENDERS }, run));
  const seconds = (performance.now() - startedAt) / 1000;
  await sender.close();
  const name = `(a) ${options.conversations} conversations x ${options.messages} messages, ${SENDERS} senders`;
  const result = { seconds, latency: recorder.summary(), failures };
  return reportOn({ name, service, pool: service.pool, sender, conversations, result });
}

/** Sends requests at a steady rate, whether or not earlier ones were answered. */
export async function runSteady(
  service: StressService,
  options: { readonly conversations: number; readonly seconds: number; readonly seed: number },
): Promise<StressReport> {
  const conversations = await makeConversations(service, options.conversations);
  const sender = await makeStressSender(service.urls()[0] ?? '');
  const random = makeRandom(options.seed);
  const result = await openLoop({
    perSecond: PER_SECOND,
    warmUpMs: 0,
    measureMs: options.seconds * 1000,
    send: (request) => sender.send(conversations[below(random, conversations.length)] ?? '', request),
  });
  await sender.close();
  const name = `(b) ${PER_SECOND} requests/s for ${options.seconds} s over ${options.conversations} conversations`;
  return reportOn({ name, service, pool: service.pool, sender, conversations, result });
}

async function makeConversations({ pool }: StressService, count: number): Promise<string[]> {
  const prefix = randomBytes(6).toString('hex');
  const ids = Array.from({ length: count }, (_, number) => conversationId(`${prefix} ${number}`));
  await seedConversations(
    pool,
    ids.map((id) => ({ id, members: STRESS_USERS })),
  );
  return ids;
}
