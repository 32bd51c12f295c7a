import { randomBytes, randomUUID } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { createHttp, ParleyClient, ProblemError, toBase64, toBase64Url } from '../../client/index.ts';
import { spend, waitUntil } from '../../tools/harness/wait-until.ts';
import type { Ledger } from './ledger.ts';
import { createLedger } from './ledger.ts';
import { pick } from './pick.ts';

/** Kinds of operations, each as often as it is listed. */
export type Kind = 'message' | 'repeat' | 'commit' | 'add' | 'remove' | 'increment' | 'read';
export const EVERYTHING: readonly Kind[] = [
  ...Array<Kind>(12).fill('message'),
  'repeat',
  'commit',
  'add',
  'remove',
  'increment',
  'read',
];

/** Above the service's own deadline of 10 s: a try that took longer broke invariant 11, and fails without a status. */
const TRY_MS = 15_000;
/** An operation without an answer for this long is abandoned, and the test fails. */
const PATIENCE_MS = 60_000;
const PAUSE_MS = 100;

export interface LoadOptions {
  /** Called before every attempt. Attempts use the URLs in turn. */
  readonly urls: () => readonly string[];
  readonly token: (user: string) => Promise<string>;
  readonly conversations: number;
  /** Number of concurrent clients. Each has one operation at a time. */
  readonly users: number;
  readonly kinds?: readonly Kind[];
  /** False: a failed attempt is final, so that every failure that a client could see counts. @default true */
  readonly retries?: boolean;
}

/** An attempt that ended neither in success nor in a refusal by the rules of the conversation. */
export interface Failure {
  readonly kind: Kind | 'create';
  readonly status: number | undefined;
  readonly code: string;
  readonly message: string;
  /** Duration of the attempt in milliseconds. */
  readonly ms: number;
  readonly endedAt: number;
}

export interface Success {
  readonly conversation: string;
  readonly startedAt: number;
  readonly endedAt: number;
}

export interface Load {
  readonly ledger: Ledger;
  readonly failures: readonly Failure[];
  readonly successes: readonly Success[];
  /** Operations that never got an answer. */
  readonly abandoned: readonly string[];
  readonly client: (user: string, url?: string) => ParleyClient;
  /** Lets every client finish its current operation. */
  readonly stop: () => Promise<void>;
}

/** Creates conversations and puts load on them until `stop`. The ledger has all requests and answers. */
export async function startLoad(options: LoadOptions): Promise<Load> {
  const { kinds = EVERYTHING, retries = true } = options;
  const ledger = createLedger();
  const failures: Failure[] = [];
  const successes: Success[] = [];
  const abandoned: string[] = [];
  const users = Array.from({ length: options.users }, (_, i) => `user-${i}`);
  let turn = 0;
  let stopping = false;
  // A test that fails does not stop its load. Without a service every try fails at once, and they would fill the memory.
  let isTestOver = false;
  onTestFinished(() => {
    stopping = true;
    isTestOver = true;
  });

  const client = (user: string, url?: string): ParleyClient => {
    const urls = options.urls();
    const baseUrl = url ?? urls[turn++ % urls.length] ?? '';
    return new ParleyClient(createHttp({ baseUrl, token: () => options.token(user), attempts: 1, timeoutMs: TRY_MS }));
  };

  /** Sends one operation until it has an answer. `undefined` = refused, or abandoned. */
  const until = async <T>(
    kind: Kind | 'create',
    conversation: string,
    run: () => Promise<T>,
    onRefused?: (problem: ProblemError) => boolean,
  ): Promise<T | undefined> => {
    const givenUpAt = Date.now() + PATIENCE_MS;
    for (;;) {
      const startedAt = performance.now();
      try {
        const answer = await run();
        successes.push({ conversation, startedAt, endedAt: performance.now() });
        return answer;
      } catch (error) {
        const endedAt = performance.now();
        const ms = Math.round(endedAt - startedAt);
        const problem = error instanceof ProblemError ? error : undefined;
        if (problem !== undefined && onRefused?.(problem) === true) return undefined;
        const { status, code = 'broken' } = problem ?? {};
        failures.push({ kind, status, code, message: reason(error), ms, endedAt });
        const isFinal = problem !== undefined && !problem.isRetryable && problem.status !== 500;
        const isGivenUp = isFinal || !retries || isTestOver || Date.now() > givenUpAt;
        if (isGivenUp) abandoned.push(`${kind}: ${reason(error)}`);
        // Also when it is given up: the next operation may fail as fast.
        await spend(PAUSE_MS);
        if (isGivenUp) return undefined;
      }
    }
  };

  const create = async (): Promise<string> => {
    const id = toBase64Url(randomBytes(18));
    const members = [...users, ledger.lurker];
    await until('create', id, () =>
      client(users[0] ?? '').createConversation({
        id,
        protocol: 'opaque',
        members,
        policy: { externalJoin: 'nobody' },
      }),
    );
    ledger.open(id, members);
    return id;
  };
  const conversations = await Promise.all(Array.from({ length: options.conversations }, create));

  const operate: Readonly<Record<Kind, (user: string, conversation: string) => Promise<void>>> = {
    message: async (user, conversation) => {
      const id = randomUUID();
      const ciphertext = toBase64(randomBytes(20 + Math.floor(Math.random() * 300)));
      const entry = ledger.of(conversation).attempt(id, { kind: 'message', user, ciphertext });
      const answer = await until('message', conversation, () => client(user).send(conversation, { id, ciphertext }));
      if (answer !== undefined) entry.acknowledge(answer.seq, answer.epoch);
    },
    // Send the same id with the same bytes, long after the answer (invariant 3).
    repeat: async (user, conversation) => {
      const earlier = ledger.of(conversation).anyMessageOf(user);
      if (earlier === undefined) return;
      const { id, ciphertext, acknowledge } = earlier;
      const answer = await until('repeat', conversation, () => client(user).send(conversation, { id, ciphertext }));
      if (answer !== undefined) acknowledge(answer.seq, answer.epoch);
    },
    commit: async (user, conversation) => {
      const book = ledger.of(conversation);
      const id = randomUUID();
      const commit = toBase64(randomBytes(100));
      // The service chooses the epoch, so no commit can be lost.
      const entry = book.attempt(id, { kind: 'commit', user, ciphertext: commit });
      const answer = await until('commit', conversation, () => client(user).commit(conversation, { id, commit }));
      if (answer !== undefined) entry.acknowledge(answer.seq, answer.epoch - 1);
    },
    add: async (user, conversation) => {
      const id = randomUUID();
      const book = ledger.of(conversation);
      const guest = book.newGuest();
      const entry = book.attempt(id, { kind: 'add', user, ciphertext: '' });
      const answer = await until('add', conversation, () => client(user).addMembers(conversation, [guest], { id }));
      if (answer === undefined) return;
      entry.acknowledge(answer.seq, answer.epoch - 1);
      book.joined(guest);
    },
    remove: async (user, conversation) => {
      const book = ledger.of(conversation);
      const guest = book.takeGuest();
      if (guest === undefined) return;
      const id = randomUUID();
      const entry = book.attempt(id, { kind: 'remove', user, ciphertext: '' });
      const answer = await until('remove', conversation, () => client(user).removeMember(conversation, guest, { id }));
      if (answer === undefined) return;
      entry.acknowledge(answer.seq, answer.epoch - 1);
      book.left(guest);
    },
    increment: async (user, conversation) => {
      const id = randomUUID();
      const by = 1 + Math.floor(Math.random() * 5);
      const answer = await until('increment', conversation, async () => {
        await client(user).incrementUnread(conversation, by, id);
        return true;
      });
      ledger.of(conversation).incremented(by, answer === true);
    },
    read: async (user, conversation) => {
      const unread = await until('read', conversation, () => client(user).markRead(conversation));
      if (unread !== undefined && unread !== 0) abandoned.push(`read: ${unread} unread after reading everything`);
    },
  };

  const loop = async (user: string): Promise<void> => {
    while (!stopping) await operate[pick(kinds)](user, pick(conversations));
  };
  const loops = users.map(loop);
  return {
    ledger,
    failures,
    successes,
    abandoned,
    client,
    stop: async () => {
      stopping = true;
      await Promise.all(loops);
    },
  };
}

/** Waits until every conversation has answered a request that began after `from` (`performance.now()`). */
export function untilBack({ ledger, successes }: Load, from: number): Promise<void> {
  const isBack = (id: string): boolean =>
    successes.some(({ conversation, startedAt }) => conversation === id && startedAt >= from);
  const what = 'every conversation answers again';
  return waitUntil(() => ledger.conversations().every(isBack), { what, timeoutMs: 100_000 });
}

/** Waits until the clients have had this many more successes. */
export function untilMore({ successes }: Load, count: number): Promise<void> {
  const enough = successes.length + count;
  return waitUntil(() => successes.length >= enough, { what: `${count} requests succeed`, timeoutMs: 100_000 });
}

/** How the service recovered from a fault at `from` (`performance.now()`). Measured and printed, never asserted. */
export function describeRecovery(load: Load, from: number): string {
  const after = load.successes.filter(({ startedAt }) => startedAt >= from);
  const first = Math.min(...after.map(({ endedAt }) => endedAt - from));
  const ofConversation = load.ledger.conversations().map((id) => {
    const own = after.filter(({ conversation }) => conversation === id);
    return Math.min(...own.map(({ endedAt }) => endedAt - from));
  });
  const slowest = Math.max(...after.map(({ startedAt, endedAt }) => endedAt - startedAt));
  const failed = load.failures.filter(({ endedAt }) => endedAt >= from);
  return (
    `first success after ${ms(first)}, every conversation answered after ${ms(Math.max(...ofConversation))}, ` +
    `slowest request ${ms(slowest)}, failed attempts: ${JSON.stringify(countFailures(failed))}`
  );
}

/** How long failed tries took. Measured and printed, never asserted. */
export function describeFailures({ failures }: Load): string {
  const slowest = Math.max(0, ...failures.map(({ ms: took }) => took));
  return `${failures.length} tries failed, the slowest after ${ms(slowest)}`;
}

/** Failed tries by status and code, for messages. */
export function countFailures(failures: readonly Failure[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind, status, code } of failures) {
    const key = `${kind} ${status ?? ''} ${code}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

function ms(value: number): string {
  return `${Math.round(value)} ms`;
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
