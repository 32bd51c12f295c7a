import { expect, onTestFinished, test } from 'vitest';
import { LoadShedder } from '../../../api/http/load-shedder.ts';
import { measureExpectedWait } from '../../../api/services/expected-wait.ts';
import { pause } from '../../../dispatch/pause.ts';
import type { Submitter } from '../../../dispatch/submission.ts';
import { type InProcessApi, directSubmitter } from '../../../tools/harness/in-process-api.ts';
import { randomCiphertext } from '../../../tools/harness/opaque.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { createConversation } from '../../harness/api/conversations.ts';
import { startApi } from '../../harness/api/use-api.ts';
import { useDatabase } from '../../harness/database.ts';

const database = useDatabase();

/** A client waits so many milliseconds after a refusal. */
const REFUSED_MS = 100;
/** Milliseconds for one command. */
const SLOW_MS = 5;

interface Overloaded extends InProcessApi {
  readonly shed: string[];
  readonly shedder: LoadShedder;
}

/** The real app over a real database, whose commands are decided one after another, each in some milliseconds. */
async function startSlowApi(): Promise<Overloaded> {
  const real = directSubmitter(database().pool);
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();
  const submitter: Submitter = {
    submit: async (submission) => {
      waiting++;
      // This is how long a command takes; nothing waits for a condition.
      // eslint-disable-next-line no-restricted-syntax -- the fault itself
      const turn = last.then(() => new Promise((resolve) => setTimeout(resolve, SLOW_MS)));
      last = turn;
      await turn;
      waiting--;
      return real.submit(submission);
    },
  };
  const shedder = new LoadShedder();
  const wait = measureExpectedWait({
    pool: database().pool,
    queues: () => waiting * SLOW_MS,
    onSample: (waitMs) => shedder.sample(waitMs),
  });
  const shed: string[] = [];
  // More than a user's turns, so that the flood comes through to the queue.
  const turns = { perUser: 1000, waitingPerUser: 1000 };
  const api = await startApi(database().pool, {
    submitter,
    turns,
    loadShedding: { shedder, onShed: (rateClass) => void shed.push(rateClass) },
  });
  onTestFinished(async () => {
    wait.close();
    await api.close();
  });
  return { ...api, shed, shedder };
}

/** Keeps this many messages of a user on their way. @returns stops it, and gives the statuses */
function flood(api: InProcessApi, user: string, conversation: string, parallel: number): () => Promise<number[]> {
  const statuses: number[] = [];
  let isOver = false;
  const sender = async (): Promise<void> => {
    while (!isOver) {
      const { status } = await send(api, user, conversation);
      statuses.push(status);
      // The refusals of a client that never pauses would be a load of their own, in this very process.
      if (status === 503) await pause(REFUSED_MS);
    }
  };
  const senders = Array.from({ length: parallel }, sender);
  return async () => {
    isOver = true;
    await Promise.all(senders);
    return statuses;
  };
}

let count = 0;
function send(api: InProcessApi, user: string, conversation: string): ReturnType<InProcessApi['ask']> {
  const body = { id: `m-${count++}`, ciphertext: randomCiphertext(32) };
  return api.ask(`POST /v1/conversations/${conversation}/messages`, { user, body });
}

test('while one user floods, only that user is refused, and everything else works', async () => {
  const api = await startSlowApi();
  const flooded = await createConversation(api, [], { protocol: 'opaque' });
  const quiet = await createConversation(api, ['bob'], { protocol: 'opaque' });
  const stop = flood(api, 'alice', flooded, 150);
  await waitUntil(() => api.shed.length > 50, { what: 'messages are shed' });

  // bob and the rare work pass while alice is cut.
  for (let i = 0; i < 10; i++) expect((await send(api, 'bob', quiet)).status).toBe(200);
  expect(api.shedder.level).toBeLessThan(Infinity);
  expect((await api.ask('GET /health')).status).toBe(200);
  expect((await api.ask('POST /v1/ack', { user: 'alice', body: { positions: {} } })).status).toBe(200);
  const commit = { commit: randomCiphertext(64) };
  const committed = await api.ask(`POST /v1/conversations/${flooded}/commits`, { user: 'alice', body: commit });
  expect(committed.status).toBe(200);

  const statuses = await stop();
  expect(new Set(statuses)).toEqual(new Set([200, 503]));
  expect(new Set(api.shed)).toEqual(new Set(['messages']));
  expect(api.logs().filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);

  // Nothing stays refused.
  await waitUntil(() => api.shedder.level === Infinity, { what: 'the overload is over' });
  expect((await send(api, 'alice', flooded)).status).toBe(200);
});
