import { randomBytes } from 'node:crypto';
import { describe, sleep } from '../load/closed-loop.ts';
import { expectStatus, makeHttpSender } from '../load/http-sender.ts';
import { makeMessageBodies, messagesPath } from '../load/messages.ts';
import { makeTokens } from '../load/tokens.ts';
import { type ContenderName, type ContenderOptions, startContender } from './contender.ts';
import { type SentMessage, compareWithLog } from './ledger.ts';
import type { Measurement } from './measurement.ts';
import { CONVERSATIONS } from './world.ts';

/** Contenders that are killed: the ones that keep something in memory, and the yardstick. */
export const KILLED: readonly ContenderName[] = ['workflow', 'direct', 'auto', 'plain-sql', 'actor'];

const SENDERS = 32;
const CONVERSATIONS_USED = 20;
const PAUSE_MS = 50;
/** A message that has no answer so long after the end is given up, and missing in the answers. */
const PATIENCE_MS = 30_000;

/**
 * Kills all processes of a contender (SIGKILL) in the middle of its load, starts them again on the same database, and repeats
 * each message that got no answer, with its id. Then it compares what was acknowledged with the log.
 */
export async function measureKill(
  given: Omit<ContenderOptions, 'suffix'> & { readonly measureMs: number },
): Promise<Measurement[]> {
  const { measureMs, ...options } = given;
  const conversations = CONVERSATIONS.spread.slice(0, CONVERSATIONS_USED);
  const tokens = await makeTokens(SENDERS);
  const makeBody = makeMessageBodies();
  const prefix = randomBytes(6).toString('hex');
  const sent: SentMessage[] = [];
  const unanswered = new Map<number, SentMessage>();
  const errors: string[] = [];
  const answered = { firstAt: Number.NaN };

  /** Lets every sender send until `isOver`; a message without an answer is repeated first. */
  const load = async (
    url: string,
    isOver: (sender: number) => boolean,
    onError: (error: unknown) => void,
  ): Promise<void> => {
    const http = makeHttpSender(url, SENDERS);
    const run = async (sender: number): Promise<void> => {
      while (!isOver(sender)) {
        const message = unanswered.get(sender) ?? newMessage(sender);
        unanswered.set(sender, message);
        try {
          const path = messagesPath(message.conversation);
          const answer = expectStatus(await http.post(path, tokens[sender] ?? '', makeBody(message.id)));
          message.seq = seqOf(answer);
          if (Number.isNaN(answered.firstAt)) answered.firstAt = performance.now();
          unanswered.delete(sender);
        } catch (error) {
          onError(error);
          await sleep(PAUSE_MS);
        }
      }
    };
    await Promise.all(tokens.map((_, sender) => run(sender)));
    await http.close();
  };
  const newMessage = (sender: number): SentMessage => {
    const conversation = conversations[(sender + sent.length) % conversations.length] ?? '';
    const message = { conversation, sender, id: `${prefix}-k${sent.length}` };
    sent.push(message);
    return message;
  };

  const first = await startContender({ ...options, suffix: '-kill' });
  let isDead = false;
  const loaded = load(
    first.url,
    () => isDead,
    (error) => {
      if (!isDead) errors.push(describe(error));
    },
  );
  await sleep(measureMs);
  isDead = true;
  await first.kill9();
  await loaded;
  const repeated = unanswered.size;

  const second = await startContender({ ...options, suffix: '-kill' });
  answered.firstAt = Number.NaN;
  const readyAt = performance.now();
  try {
    const endsAt = readyAt + measureMs;
    await load(
      second.url,
      (sender) => performance.now() > (unanswered.has(sender) ? endsAt + PATIENCE_MS : endsAt),
      () => undefined,
    );
  } finally {
    await second.stop();
  }
  const found = await compareWithLog(options.databaseUrl, sent);
  if (found.values.acknowledged === 0) errors.push('nothing was acknowledged');
  const values = { ...found.values, repeated, backMs: answered.firstAt - readyAt };
  return [{ load: 'kill', contender: options.name, values, errors: [...errors, ...found.broken] }];
}

/** @throws Error when the answer has no seq: then nothing was acknowledged, and the case would compare nothing */
function seqOf(answer: string): number {
  const { results } = JSON.parse(answer) as { results?: readonly { seq?: number }[] };
  const seq = results?.[0]?.seq;
  if (seq === undefined) throw new Error(`An answer without a seq: ${answer}`);
  return seq;
}
