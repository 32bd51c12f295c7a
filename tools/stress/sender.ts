import { randomBytes } from 'node:crypto';
import { describe, sleep } from '../load/closed-loop.ts';
import { describeAnswer, makeHttpSender } from '../load/http-sender.ts';
import { bodyOf, messagesPath } from '../load/messages.ts';
import { makeTokens } from '../load/tokens.ts';

/** A message that the service acknowledged. */
export interface Acknowledged {
  readonly conversation: string;
  readonly id: string;
  readonly seq: number;
}

/** Sends messages like a client: it repeats a retryable request with the same id until the message is acknowledged. */
export interface StressSender {
  readonly send: (conversation: string, sender: number) => Promise<void>;
  readonly acknowledged: readonly Acknowledged[];
  readonly retries: () => number;
  readonly close: () => Promise<void>;
}

/** Users who are members of every conversation under stress. */
export const STRESS_USERS = 8;
const CONNECTIONS = 128;
/** Longer than any outage that a run causes. */
const PATIENCE_MS = 60_000;
const PAUSE_MS = 50;

export async function makeStressSender(url: string): Promise<StressSender> {
  const http = makeHttpSender(url, CONNECTIONS);
  const tokens = await makeTokens(STRESS_USERS);
  const prefix = randomBytes(6).toString('hex');
  const acknowledged: Acknowledged[] = [];
  let count = 0;
  let retries = 0;
  return {
    acknowledged,
    retries: () => retries,
    close: () => http.close(),
    send: async (conversation, sender) => {
      const id = `${prefix}-${count++}`;
      const body = bodyOf(id);
      const path = messagesPath(conversation);
      for (const end = Date.now() + PATIENCE_MS; ; retries++) {
        const answer = await http.post(path, tokens[sender % STRESS_USERS] ?? '', body).catch(describe);
        if (typeof answer !== 'string' && answer.status === 200) {
          acknowledged.push({ conversation, id, seq: seqOf(answer.body) });
          return;
        }
        const why = typeof answer === 'string' ? answer : describeAnswer(answer);
        const isFinal = typeof answer !== 'string' && answer.status !== 503;
        if (isFinal || Date.now() > end) throw new Error(`message ${id}: ${why}`);
        await sleep(PAUSE_MS);
      }
    },
  };
}

function seqOf(body: string): number {
  const { results } = JSON.parse(body) as { results: { seq: number }[] };
  return results[0]?.seq ?? Number.NaN;
}
