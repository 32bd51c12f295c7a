import { randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import { expect, test } from 'vitest';
import { resolveProgram } from '../../local/temporal-binary.ts';
import { temporalCli } from '../../local/temporal-programs.ts';
import { type Temporal, startTemporal } from '../../local/temporal-server.ts';
import { ProblemError, toBase64, toBase64Url } from '../../client/index.ts';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { temporaryFolder } from '../../tools/harness/temporary-folder.ts';
import { print } from '../harness/print.ts';
import { startServiceOnDatabase } from '../harness/service.ts';
import type { Service } from '../../tools/harness/service.ts';
import { useFaults } from './faults.ts';
import { pick } from './pick.ts';
import { expectNothingLost } from './verdict.ts';
import {
  EVERYTHING,
  type Load,
  countFailures,
  describeFailures,
  describeRecovery,
  startLoad,
  untilBack,
  untilMore,
} from './load.ts';

const later = useFaults();
const DEADLINE_MS = 3000;
/** A request that ended by its deadline may have been judged at the last moment, and its entry takes its time after that. */
const WRITING_MS = 1000;

/** A separate Temporal server with a database file. It can be killed and started again on the same port. */
async function startOwnTemporal(): Promise<{
  address: string;
  kill: () => Promise<void>;
  restart: () => Promise<void>;
}> {
  const folder = temporaryFolder('temporal-kill');
  later('folder', folder.remove);
  const options = {
    binary: await resolveProgram(temporalCli, { say: () => undefined }),
    dataDir: folder.path,
    say: () => undefined,
  };
  let temporal: Temporal = await startTemporal(options);
  later('temporal', () => temporal.kill9());
  const port = Number(temporal.address.split(':')[1]);
  return {
    address: temporal.address,
    kill: () => temporal.kill9(),
    restart: async () => {
      temporal = await startTemporal({ ...options, port });
    },
  };
}

/** Messages that are sent once and never again, whatever the answer. */
function startOneShots(
  load: Load,
  service: Service,
): { stop: () => Promise<void>; refused: () => Map<string, number> } {
  const refused = new Map<string, number>();
  let stopping = false;
  const conversation = toBase64Url(randomBytes(18));
  const loop = async (): Promise<void> => {
    await load
      .client('once')
      .createConversation({ id: conversation, protocol: 'opaque', policy: { externalJoin: 'nobody' } });
    while (!stopping) {
      const id = randomUUID();
      try {
        await load
          .client('once', pick(service.urls()))
          .send(conversation, { id, ciphertext: toBase64(randomBytes(32)) });
      } catch (error) {
        if (!(error instanceof ProblemError) || error.status !== 503) throw error;
        refused.set(id, Date.now() + (error.code === 'deadline' ? WRITING_MS : DEADLINE_MS));
      }
    }
  };
  const running = loop();
  return {
    refused: () => refused,
    stop: async () => {
      stopping = true;
      await running;
    },
  };
}

/** Entries that were decided after their deadline, of requests that had ended as 503. @param refused latest deadline by id */
async function lateEntries(pool: pg.Pool, refused: ReadonlyMap<string, number>): Promise<string[]> {
  const { rows } = await pool.query<{ id: string; at: Date }>(
    'select message_id as id, at from entry where message_id = any($1)',
    [[...refused.keys()]],
  );
  return rows
    .filter(({ id, at }) => at.getTime() > (refused.get(id) ?? 0))
    .map(({ id, at }) => `${id} at ${at.toISOString()}`);
}

test('requests end as 503 while Temporal is down, the same ids succeed afterwards, nothing is doubled, and nothing is stored after its notAfter (invariants 1 to 3, 7 and 11)', async () => {
  const temporal = await startOwnTemporal();
  const { service, database } = await startServiceOnDatabase(later, {
    apis: 2,
    workers: 1,
    temporalAddress: temporal.address,
    env: { REQUEST_DEADLINE_MS: String(DEADLINE_MS), CONVERSATION_PATH: 'workflow' },
  });
  const load = await startLoad({ urls: service.urls, token: service.token, conversations: 3, users: 6 });
  const oneShots = startOneShots(load, service);
  await untilMore(load, 200);

  await temporal.kill();
  await waitUntil(() => oneShots.refused().size >= 2, { what: 'two requests ended as 503', timeoutMs: 20_000 });
  await temporal.restart();
  const backAt = performance.now();
  await untilBack(load, backAt);
  print(`Temporal killed and restarted: ${describeRecovery(load, backAt)}`);
  await load.stop();
  await oneShots.stop();

  expect(load.abandoned, JSON.stringify(countFailures(load.failures))).toEqual([]);
  // The service answered each of them: a client that gave up by itself would have no status (invariant 11).
  expect(load.failures.filter(({ status }) => status !== 503)).toEqual([]);
  print(describeFailures(load));
  expect(await lateEntries(database.pool, oneShots.refused())).toEqual([]);
  await expectNothingLost(load, database.pool, checkInvariants);
});

test('no request fails on the direct path while Temporal is down or when it comes back (invariant 9)', async () => {
  const temporal = await startOwnTemporal();
  const { service, database } = await startServiceOnDatabase(later, {
    apis: 2,
    workers: 1,
    temporalAddress: temporal.address,
    env: { CONVERSATION_PATH: 'direct' },
  });
  const load = await startLoad({
    urls: service.urls,
    token: service.token,
    conversations: 3,
    users: 6,
    kinds: EVERYTHING,
    retries: false,
  });
  await untilMore(load, 300);
  await temporal.kill();
  await untilMore(load, 300);
  await temporal.restart();
  await untilMore(load, 300);
  await load.stop();
  print(`Temporal killed on the direct path: ${load.successes.length} requests, ${load.failures.length} failed`);
  expect(countFailures(load.failures)).toEqual({});
  await expectNothingLost(load, database.pool, checkInvariants);
});
