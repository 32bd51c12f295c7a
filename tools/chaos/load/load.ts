import { randomBytes } from 'node:crypto';
import { toBase64Url } from '../../../client/index.ts';
import { spend } from '../../harness/wait-until.ts';
import { below, makeRandom } from '../../load/random.ts';
import { claimKeyPackage, uploadKeyPackages } from './claims.ts';
import { addGuest, commit, raceCommits, removeGuest } from './commits.ts';
import { type Book, type Ledger, createLedger } from './ledger.ts';
import { increment, markRead } from './marks.ts';
import { ONCE, repeatMessage, sendMessage, sendOnce } from './messages.ts';
import { type People, makePeople } from './people.ts';
import type { Act, Scene } from './scene.ts';
import { type Tries, createTries } from './tries.ts';

/** What clients do, each as often as its number says. */
export const ACTS: readonly (readonly [Act, number])[] = [
  [sendMessage, 68],
  [repeatMessage, 4],
  [sendOnce, 2],
  [commit, 7],
  [raceCommits, 3],
  [addGuest, 3],
  [removeGuest, 3],
  [increment, 5],
  [markRead, 4],
  [claimKeyPackage, 1],
];

/** A member of every conversation who never does anything. */
export const LURKER = 'lurker';
/** Sends one message to each conversation after a fault. */
const PROBER = 'prober';
/** A client with so much to do has no new ideas: an outage must not fill the memory. */
const MAX_WAITING = 20;

export interface LoadOptions {
  readonly urls: () => readonly string[];
  readonly conversations: number;
  /** Members who act. Each has one operation at a time in each conversation. */
  readonly users: number;
  /** Operations that begin per second, whether or not earlier ones were answered. */
  readonly perSecond: number;
  readonly seed: number;
  /** Of a request, by the configuration of the service. */
  readonly deadlineMs: number;
  /** What clients do. @default everything */
  readonly acts?: readonly (readonly [Act, number])[];
  /** @default 120 s */
  readonly patienceMs?: number;
  readonly onGuest?: Scene['onGuest'];
}

export interface Load {
  readonly ledger: Ledger;
  readonly tries: Tries;
  readonly people: People;
  readonly users: readonly string[];
  /** Operations that did not begin because their client had too many to do. */
  readonly skipped: () => number;
  /** Sends a message to every conversation. Resolves when each is acknowledged: then the service has recovered. */
  readonly probe: () => Promise<void>;
  /** Begins nothing any more, and lets every client finish. */
  readonly stop: () => Promise<void>;
}

/** Creates conversations and puts load on them until `stop`. The ledger has all that was acknowledged. */
export async function startLoad(options: LoadOptions): Promise<Load> {
  const { urls, perSecond, seed, deadlineMs, acts = ACTS, patienceMs = 120_000, onGuest = () => undefined } = options;
  const deck = acts.flatMap(([act, weight]) => Array<Act>(weight).fill(act));
  const random = makeRandom(seed);
  const ledger = createLedger();
  const tries = createTries(patienceMs);
  const people = makePeople(urls);
  const users = Array.from({ length: options.users }, (_, i) => `user-${i}`);
  const scene: Scene = {
    ...{ ledger, tries, people, users, onGuest, deadlineMs },
    below: (limit) => (limit === 0 ? 0 : below(random, limit)),
  };

  const residents = [...users, LURKER, PROBER, ONCE];
  const create = async (): Promise<Book> => {
    const id = toBase64Url(randomBytes(18));
    await tries.perform({
      sort: 'other',
      what: 'create',
      conversation: id,
      run: () =>
        people.as(residents[0] ?? '').createConversation({
          id,
          protocol: 'opaque',
          members: residents,
          policy: { externalJoin: 'nobody' },
        }),
    });
    return ledger.open(id, residents);
  };
  const books = await Promise.all(Array.from({ length: options.conversations }, create));
  await uploadKeyPackages(scene, books[0]?.conversation ?? '');

  const lanes = makeLanes();
  let isStopping = false;
  let skipped = 0;
  const begin = (act: Act, book: Book, user: string): Promise<void> | undefined =>
    lanes.add(`${book.conversation} ${user}`, () => act(scene, book, user));
  const run = async (): Promise<void> => {
    const startedAt = performance.now();
    for (let begun = 0; !isStopping; begun++) {
      const ahead = startedAt + (begun * 1000) / perSecond - performance.now();
      if (ahead > 0) await spend(ahead);
      const book = books[scene.below(books.length)];
      const act = deck[scene.below(deck.length)];
      const user = users[scene.below(users.length)];
      if (book === undefined || act === undefined || user === undefined) return;
      if (begin(act, book, act === sendOnce ? ONCE : user) === undefined) skipped++;
    }
  };
  const running = run();
  return {
    ledger,
    tries,
    people,
    users,
    skipped: () => skipped,
    probe: async () => {
      await Promise.all(books.map(async (book) => begin(sendMessage, book, PROBER)));
    },
    stop: async () => {
      isStopping = true;
      await running;
      await lanes.idle();
    },
  };
}

/** One operation at a time for each client. */
function makeLanes(): {
  /** @returns the end of the operation; `undefined` when the lane is full */
  add: (lane: string, operate: () => Promise<void>) => Promise<void> | undefined;
  idle: () => Promise<void>;
} {
  const lanes = new Map<string, { waiting: number; last: Promise<void> }>();
  return {
    add: (name, operate) => {
      const lane = lanes.get(name) ?? { waiting: 0, last: Promise.resolve() };
      lanes.set(name, lane);
      if (lane.waiting >= MAX_WAITING) return undefined;
      lane.waiting++;
      lane.last = lane.last.then(operate).finally(() => lane.waiting--);
      return lane.last;
    },
    idle: async () => {
      await Promise.all([...lanes.values()].map(({ last }) => last));
    },
  };
}
