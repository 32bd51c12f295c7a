import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { toBase64, toBase64Url } from '../../../client/index.ts';
import type { Drill, DrillStage } from './drill.ts';

/** Repeats an action until it is over. @returns ends it */
function again(pauseMs: number, act: () => Promise<unknown>): () => Promise<void> {
  const over = new AbortController();
  const loop = async (): Promise<void> => {
    while (!over.signal.aborted) {
      // Refusals are what is wanted.
      await act().catch(() => undefined);
      await sleep(pauseMs, undefined, { signal: over.signal }).catch(() => undefined);
    }
  };
  const running = loop();
  return async () => {
    over.abort();
    await running;
  };
}

const USER = 'user-0';

async function open({ people }: DrillStage): Promise<string> {
  const id = toBase64Url(randomBytes(18));
  await people.patiently(USER).createConversation({ id, protocol: 'opaque', policy: { externalJoin: 'nobody' } });
  return id;
}

const LATE_COMMITTERS = 20;

const lateCommits: Drill = {
  name: 'late-commits',
  does: `a broken release of a client, on ${LATE_COMMITTERS} devices, commits in an epoch that is over, in a loop`,
  alerts: ['ParleyEpochConflictSpike'],
  inject: async (stage) => {
    const id = await open(stage);
    const commit = (): Promise<unknown> =>
      stage.people.as(USER).commit(id, { id: randomUUID(), epoch: 0, commit: toBase64(randomBytes(40)) });
    await stage.people.patiently(USER).commit(id, { id: randomUUID(), epoch: 0, commit: toBase64(randomBytes(40)) });
    const ends = Array.from({ length: LATE_COMMITTERS }, () => again(100, commit));
    return async () => {
      await Promise.all(ends.map((end) => end()));
    };
  },
};

const SMALL_MAILBOX = { LANE_MAILBOX_LIMIT: '8' };
const SENDERS = 40;

const fullMailbox: Drill = {
  name: 'full-mailbox',
  does: `${SENDERS} senders at once, and mailboxes with room for eight`,
  alerts: ['ParleyActorMailboxFull'],
  inject: async (stage) => {
    const { apis } = stage.arena;
    for (const api of apis) await api.deploy({ env: SMALL_MAILBOX });
    const id = await open(stage);
    const send = (): Promise<unknown> =>
      stage.people.as(USER).send(id, { id: randomUUID(), ciphertext: toBase64(randomBytes(40)) });
    const ends = Array.from({ length: SENDERS }, () => again(5, send));
    return async () => {
      await Promise.all(ends.map((end) => end()));
      for (const api of apis) await api.deploy();
    };
  },
};

/** So slow that decisions and deliveries take longer than a second, and so few connections that statements wait for them. */
const CRAWL = { delayMs: 700, bytesPerSecond: 100_000 };
const SMALL_POOL = { DATABASE_POOL_SIZE: '3' };

const slowDatabase: Drill = {
  name: 'slow-database',
  does: `every line to PostgreSQL takes ${CRAWL.delayMs} ms each way, and API processes have ${SMALL_POOL.DATABASE_POOL_SIZE} connections`,
  alerts: [
    'ParleyActorUnresponsive',
    'ParleyDeliveryLagHigh',
    'ParleyDecisionLatencyBudgetFast',
    'ParleyDeliveryLagBudgetFast',
    'ParleyRequestsShed',
    'ParleyPoolWait',
  ],
  inject: async ({ arena }) => {
    for (const api of arena.apis) await api.deploy({ env: SMALL_POOL });
    const links = [...arena.apis, ...arena.workers].map(({ postgresLink }) => postgresLink);
    for (const link of links) link.slow(CRAWL);
    return async () => {
      await Promise.all(links.map((link) => link.heal()));
      for (const api of arena.apis) await api.deploy();
    };
  },
};

export const CLIENT_DRILLS: readonly Drill[] = [lateCommits, fullMailbox, slowDatabase];
