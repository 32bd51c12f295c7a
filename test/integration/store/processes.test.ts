import { pino } from 'pino';
import { expect, test } from 'vitest';
import { startHeartbeat } from '../../../store/process/heartbeat.ts';
import {
  type ProcessSign,
  SIGN_EVERY_MS,
  SILENT_MS,
  forgetProcesses,
  listProcesses,
  signAndLook,
  signOff,
  signProcess,
} from '../../../store/process/processes.ts';
import { startWorkerHeartbeat } from '../../../worker/heartbeat.ts';
import { tryUntil, waitUntil } from '../../../tools/harness/wait-until.ts';
import { useCleanup } from '../../harness/cleanup.ts';
import { useDatabase } from '../../harness/database.ts';

const later = useCleanup();
const database = useDatabase();
const log = pino({ level: 'silent' });
const WORKS = { polling: true, temporal: true, namespace: 'default' };

function signOf(id: string, more: Partial<ProcessSign> = {}): ProcessSign {
  return { id, kind: 'worker', version: '1', build: 'b', taskQueue: 'ours', facts: WORKS, ...more };
}

async function sign(...signs: readonly ProcessSign[]): Promise<void> {
  await database().pool.query('delete from process');
  for (const one of signs) await signProcess(database().pool, one);
}

/** Its last sign was some time ago. */
async function silence(id: string, ms: number): Promise<void> {
  await database().pool.query(
    `update process set seen_at = clock_timestamp() - make_interval(secs => $2::float8 / 1000) where id = $1`,
    [id, ms],
  );
}

const API = signOf('api/1', { kind: 'api', facts: { namespace: 'default', path: 'auto' } });

test('a process that signs sees which workers of its task queue work, and why others do not', async () => {
  await sign(
    signOf('works'),
    signOf('works too'),
    signOf('stopped'),
    signOf('does not poll', { facts: { ...WORKS, polling: false } }),
    signOf('Temporal is away', { facts: { ...WORKS, temporal: false } }),
    signOf('says nothing of itself', { facts: { namespace: 'default' } }),
    signOf('other queue', { taskQueue: 'theirs' }),
    signOf('other namespace', { facts: { ...WORKS, namespace: 'theirs' } }),
    signOf('other queue, stopped', { taskQueue: 'theirs' }),
    signOf('no worker', { kind: 'supervisor' }),
  );
  const look = async (): Promise<void> => {
    // All have signed just now, except those that stopped: on a busy machine the first sign would be too old when the last is made.
    await database().pool.query(
      `update process set seen_at = clock_timestamp()
         - make_interval(secs => case when id like '%stopped' then $1::float8 / 1000 else 0 end)`,
      [SILENT_MS + 1000],
    );
    expect(await signAndLook(database().pool, API)).toEqual({ working: 2, waiting: 3, silent: 1, elsewhere: 2 });
  };
  await tryUntil(look, { what: 'it sees who works' });
  const own = (await listProcesses(database().pool)).find(({ id }) => id === API.id);
  expect(own).toMatchObject({ kind: 'api', facts: API.facts });
});

test('a sign replaces the one before, and ends with the process; rows of the dead are forgotten after ten minutes', async () => {
  await sign(signOf('a', { facts: { count: 1 } }), signOf('b'), signOf('long dead'), signOf('dead'));
  await signProcess(database().pool, signOf('a', { facts: { count: 2 } }));
  await signOff(database().pool, 'b');
  await silence('long dead', 11 * 60_000);
  await silence('dead', 9 * 60_000);
  await forgetProcesses(database().pool);
  const rows = await listProcesses(database().pool);
  expect(rows.map(({ id, facts }) => [id, facts.count])).toEqual([
    ['a', 2],
    ['dead', undefined],
  ]);
});

test('a heartbeat signs again and again, goes on after failures, and leaves no row', async () => {
  await sign();
  let signs = 0;
  const heartbeat = startHeartbeat({
    pool: database().pool,
    id: 'beats',
    sign: async () => {
      if (signs++ === 1) throw new Error('away');
      await signProcess(database().pool, signOf('beats'));
    },
    log,
  });
  later('heartbeat', heartbeat.stop);
  await heartbeat.first;
  expect(await listProcesses(database().pool)).toMatchObject([{ id: 'beats' }]);
  await waitUntil(() => signs > 2, { what: 'it signs again' });
  await heartbeat.stop();
  expect(await listProcesses(database().pool)).toEqual([]);
});

test('a worker whose workflow thread does not answer does not sign', async () => {
  await sign();
  let isStuck = true;
  let asked = 0;
  const status = { runState: 'RUNNING', workflowPollerState: 'POLLING', numCachedWorkflows: 3 };
  const heartbeat = startWorkerHeartbeat({
    pool: database().pool,
    self: { id: 'w', version: '1', build: 'b', taskQueue: 'ours', namespace: 'default' },
    running: () =>
      ({
        worker: { getStatus: () => status },
        threads: {
          ask: () => {
            asked++;
            return Promise.resolve(!isStuck);
          },
        },
        connection: {
          withDeadline: (_: unknown, call: () => unknown) => call(),
          workflowService: { getSystemInfo: () => ({}) },
        },
      }) as never,
    log,
  });
  later('heartbeat', heartbeat.stop);
  await waitUntil(() => asked > 1, { what: 'it asked twice' });
  expect(await listProcesses(database().pool)).toEqual([]);
  isStuck = false;
  await waitUntil(async () => (await signAndLook(database().pool, API)).working === 1, { what: 'it signs' });
});

test('that a worker does not work is known within 5 seconds', () => {
  // Its silence, the next look of an API process, and the time for which a report of health is given again.
  expect(SILENT_MS + SIGN_EVERY_MS + 1000).toBeLessThan(5000);
  expect(SILENT_MS).toBeGreaterThan(2 * SIGN_EVERY_MS);
});
