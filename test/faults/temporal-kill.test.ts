import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type pg from 'pg';
import { expect, test } from 'vitest';
import { resolveProgram } from '../../local/temporal-binary.ts';
import { temporalCli } from '../../local/temporal-programs.ts';
import { type Temporal, startTemporal } from '../../local/temporal-server.ts';
import { ProblemError, toBase64, toBase64Url } from '../../client/index.ts';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { type Fleet, report, startFleetOnDatabase, useCleanup } from './fleet.ts';
import { pick } from './pick.ts';
import { expectNothingLost } from './verdict.ts';
import { EVERYTHING, type Load, countFailures, describeRecovery, startLoad, untilBack, untilMore } from './load.ts';

const later = useCleanup();
const DEADLINE_MS = 3000;

/** A separate Temporal server with a database file. It can be killed and started again on the same port. */
async function startOwnTemporal(): Promise<{
  address: string;
  kill: () => Promise<void>;
  restart: () => Promise<void>;
}> {
  const folder = mkdtempSync(path.join(tmpdir(), 'parley-temporal-kill-'));
  later('folder', () => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  const options = {
    binary: await resolveProgram(temporalCli, { say: () => undefined }),
    dataDir: folder,
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

/** Sends each message exactly once and ignores the answer. */
function startOneShots(load: Load, fleet: Fleet): { stop: () => Promise<void>; refused: () => Map<string, number> } {
  const refused = new Map<string, number>();
  let stopping = false;
  const conversation = toBase64Url(randomBytes(18));
  const loop = async (): Promise<void> => {
    await load
      .client('once')
      .createConversation({ id: conversation, protocol: 'opaque', policy: { externalJoin: 'nobody' } });
    while (!stopping) {
      const id = randomUUID();
      const startedAt = Date.now();
      try {
        await load.client('once', pick(fleet.urls())).send(conversation, { id, ciphertext: toBase64(randomBytes(32)) });
      } catch (error) {
        if (!(error instanceof ProblemError) || error.status !== 503) throw error;
        refused.set(id, startedAt);
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

/** Entries that were stored after the deadline of their request, which had ended as 503. */
async function lateEntries(pool: pg.Pool, refused: ReadonlyMap<string, number>): Promise<string[]> {
  const { rows } = await pool.query<{ id: string; at: Date }>(
    'select message_id as id, at from entry where message_id = any($1)',
    [[...refused.keys()]],
  );
  return rows
    .filter(({ id, at }) => at.getTime() > (refused.get(id) ?? 0) + DEADLINE_MS + 500)
    .map(({ id, at }) => `${id} at ${at.toISOString()}`);
}

test('requests end as 503 while Temporal is down, the same ids succeed afterwards, nothing is doubled, and nothing is stored after its notAfter (invariants 1 to 3, 7 and 11)', async () => {
  const temporal = await startOwnTemporal();
  const { fleet, database } = await startFleetOnDatabase(later, {
    apis: 2,
    workers: 1,
    temporalAddress: temporal.address,
    env: { REQUEST_DEADLINE_MS: String(DEADLINE_MS) },
  });
  const load = await startLoad({ urls: fleet.urls, token: fleet.token, conversations: 3, users: 6 });
  const oneShots = startOneShots(load, fleet);
  await untilMore(load, 200);

  await temporal.kill();
  await waitUntil(() => oneShots.refused().size >= 2, { what: 'two requests ended as 503', timeoutMs: 20_000 });
  await temporal.restart();
  const backAt = performance.now();
  await untilBack(load, backAt);
  report(`Temporal killed and restarted: ${describeRecovery(load, backAt)}`);
  await load.stop();
  await oneShots.stop();

  expect(load.abandoned, JSON.stringify(countFailures(load.failures))).toEqual([]);
  expect(load.failures.filter(({ status }) => status !== 503)).toEqual([]);
  expect(load.failures.filter(({ ms }) => ms > DEADLINE_MS + 5000)).toEqual([]);
  expect(await lateEntries(database.pool, oneShots.refused())).toEqual([]);
  await expectNothingLost(load, database.pool, checkInvariants);
});

test('no request fails on the direct path while Temporal is down or when it comes back (invariant 9)', async () => {
  const temporal = await startOwnTemporal();
  const { fleet, database } = await startFleetOnDatabase(later, {
    apis: 2,
    workers: 1,
    temporalAddress: temporal.address,
    env: { CONVERSATION_PATH: 'direct' },
  });
  const load = await startLoad({
    urls: fleet.urls,
    token: fleet.token,
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
  report(`Temporal killed on the direct path: ${load.successes.length} requests, ${load.failures.length} failed`);
  expect(countFailures(load.failures)).toEqual({});
  await expectNothingLost(load, database.pool, checkInvariants);
});
