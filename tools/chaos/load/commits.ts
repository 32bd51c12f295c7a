import { randomBytes, randomUUID } from 'node:crypto';
import { ProblemError, hasCode, toBase64 } from '../../../client/index.ts';
import { isLostRace } from './messages.ts';
import type { Act, Scene } from './scene.ts';

const COMMIT_BYTES = 200;
const RACERS = 3;

/** A commit of the epoch that is the current one when it is decided: it cannot lose. */
export const commit: Act = async (scene, { conversation }, user) => {
  await commitOne(scene, conversation, user);
};

/** Several members end the same epoch at the same time: one of them may. */
export const raceCommits: Act = async (scene, book, user) => {
  const epoch = await scene.tries.perform({
    sort: 'other',
    what: 'epoch',
    conversation: book.conversation,
    run: () => scene.people.as(user).epoch(book.conversation),
  });
  if (typeof epoch !== 'number') return;
  const { users } = scene;
  const first = scene.below(users.length);
  const racers = Array.from({ length: RACERS }, (_, i) => users[(first + i) % users.length] ?? user);
  await Promise.all(racers.map((racer) => commitOne(scene, book.conversation, racer, epoch)));
};

async function commitOne(scene: Scene, conversation: string, user: string, epoch?: number): Promise<void> {
  const { ledger, tries, people } = scene;
  const book = ledger.books.get(conversation);
  if (book === undefined) return;
  const id = randomUUID();
  const bytes = toBase64(randomBytes(COMMIT_BYTES));
  const attempt = ledger.attempt(book, { id, kind: 'commit', user, ciphertext: bytes });
  const answer = await tries.perform({
    sort: 'commit',
    what: epoch === undefined ? 'commit' : 'raced commit',
    conversation,
    isRefusal: isLostRace,
    run: () => people.as(user).commit(conversation, { id, commit: bytes, ...(epoch === undefined ? {} : { epoch }) }),
  });
  if (answer instanceof ProblemError) attempt.refused = answer.code;
  else if (answer !== undefined) ledger.acknowledge(attempt, answer.seq, answer.epoch - 1);
}

/** Adds a new guest; every other time by a commit with a Welcome. */
export const addGuest: Act = async (scene, book, user) => {
  const { ledger, tries, people } = scene;
  const { conversation } = book;
  const guest = `guest-${randomUUID()}`;
  const id = randomUUID();
  const [bytes, welcome] =
    scene.below(2) === 0 ? [] : [COMMIT_BYTES, 2 * COMMIT_BYTES].map((size) => toBase64(randomBytes(size)));
  const attempt = ledger.attempt(book, { id, kind: 'add', user, ciphertext: bytes ?? '' });
  const answer = await tries.perform({
    sort: 'commit',
    what: 'add',
    conversation,
    run: () =>
      people.as(user).addMembers(conversation, [guest], {
        id,
        ...(bytes === undefined || welcome === undefined ? {} : { commit: bytes, welcome }),
      }),
  });
  if (answer === undefined || answer instanceof ProblemError) return;
  ledger.acknowledge(attempt, answer.seq, answer.epoch - 1);
  book.guests.push({ user: guest, joinedSeq: answer.seq, ...(welcome === undefined ? {} : { welcome }) });
  scene.onGuest(conversation, guest);
};

/** Removes the guest who has been there for the longest time. */
export const removeGuest: Act = async (scene, book, user) => {
  const { ledger, tries, people } = scene;
  const { conversation } = book;
  const guest = book.guests.find(({ isLeaving }) => isLeaving !== true);
  if (guest === undefined) return;
  guest.isLeaving = true;
  const id = randomUUID();
  const attempt = ledger.attempt(book, { id, kind: 'remove', user, ciphertext: '' });
  const answer = await tries.perform({
    sort: 'commit',
    what: 'remove',
    conversation,
    // Nobody else removes it: so this is never an answer to the first try.
    isRefusal: (problem) => hasCode(problem, 'not-found'),
    run: () => people.as(user).removeMember(conversation, guest.user, { id }),
  });
  if (answer instanceof ProblemError) ledger.object(`${guest.user} was removed by nobody, and is gone`);
  else if (answer !== undefined) {
    ledger.acknowledge(attempt, answer.seq, answer.epoch - 1);
    guest.removedSeq = answer.seq;
  }
};
