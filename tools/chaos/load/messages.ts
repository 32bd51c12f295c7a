import { randomBytes, randomUUID } from 'node:crypto';
import { ProblemError, hasCode, toBase64 } from '../../../client/index.ts';
import type { Attempt } from './ledger.ts';
import type { Act, Scene } from './scene.ts';

const BYTES = 300;
/** An entry that was judged at the last moment takes its time after that. */
const WRITING_MS = 1000;

/** Sends a message until it is acknowledged. */
export const sendMessage: Act = async (scene, book, user) => {
  const attempt = newMessage(scene, book.conversation, user);
  await send(scene, attempt);
};

/** Sends the same id with the same bytes again, long after the answer: the answer must be the same (invariant 3). */
export const repeatMessage: Act = async (scene, book, user) => {
  const own = book.attempts.filter((one) => one.kind === 'message' && one.user === user && one.seq !== undefined);
  const earlier = own[scene.below(own.length)];
  if (earlier !== undefined) await send(scene, earlier);
};

/** Sends a message in one try only: what it was not told of may be stored within the deadline, and never after it (invariant 11). */
export const sendOnce: Act = async (scene, book) => {
  const attempt = newMessage(scene, book.conversation, ONCE);
  attempt.notAfter = Date.now() + scene.deadlineMs + WRITING_MS;
  await send(scene, attempt, false);
};

/** The user of messages that are sent once. Their order is not known: a lost one may be decided after its successor. */
export const ONCE = 'once';

function newMessage({ ledger }: Scene, conversation: string, user: string): Attempt {
  const book = ledger.books.get(conversation);
  if (book === undefined) throw new Error(`${conversation} was never opened`);
  const ciphertext = toBase64(randomBytes(20 + Math.floor(Math.random() * BYTES)));
  return ledger.attempt(book, { id: randomUUID(), kind: 'message', user, ciphertext });
}

async function send({ ledger, tries, people }: Scene, attempt: Attempt, isRepeated = true): Promise<void> {
  const { conversation, user, id, ciphertext } = attempt;
  const answer = await tries.perform({
    sort: 'message',
    what: 'message',
    conversation,
    isRepeated,
    run: () => people.as(user).send(conversation, { id, ciphertext }),
  });
  if (answer !== undefined && !(answer instanceof ProblemError)) ledger.acknowledge(attempt, answer.seq, answer.epoch);
}

/** Whether a commit lost its race, which is an answer. */
export function isLostRace(problem: ProblemError): boolean {
  return hasCode(problem, 'epoch-conflict');
}
