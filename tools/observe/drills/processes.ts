import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { clockJumps } from '../../chaos/faults/clocks.ts';
import { temporalKilled, workersKilled } from '../../chaos/faults/kills.ts';
import type { Drill, DrillStage } from './drill.ts';

const temporalGone: Drill = {
  name: 'temporal-gone',
  does: temporalKilled.does,
  alerts: ['ParleyBreakerOpen', 'ParleyTargetDown'],
  isShort: true,
  inject: async (stage) => (await temporalKilled.inject(stage)).heal,
};

const workersGone: Drill = {
  name: 'workers-gone',
  does: `${workersKilled.does}, while a conversation has something to do`,
  alerts: ['ParleyTargetAbsent', 'ParleyNoWorker', 'ParleyConversationsOverdue'],
  isShort: true,
  inject: async (stage) => {
    const { arena, conversations } = stage;
    const { heal } = await workersKilled.inject(stage);
    await arena.pool.query(
      `update parley.conversation set due_at = clock_timestamp() - interval '1 minute' where id = $1`,
      [conversations[0]],
    );
    return heal;
  },
};

const HEAP_MB = 768;
/** Fills the heap to a share that needs no luck to be seen, and keeps it so. */
const LEAK = `
import { getHeapStatistics } from 'node:v8';
globalThis.leak = [];
const { heap_size_limit: limit } = getHeapStatistics();
while (getHeapStatistics().used_heap_size < 0.87 * limit) globalThis.leak.push(new Array(131072).fill(0.5));
`;

const leak: Drill = {
  name: 'leak',
  does: 'one API process has a leak that has filled most of its heap',
  alerts: ['ParleyMemoryUsageHigh'],
  inject: async ({ arena: { apis, folder } }) => {
    const file = path.join(folder, 'leak.mjs');
    writeFileSync(file, LEAK);
    await apis[0]?.deploy({ env: { NODE_OPTIONS: `--max-old-space-size=${HEAP_MB} --import ${file}` } });
    return async () => {
      await apis[0]?.deploy();
    };
  },
};

const clocks: Drill = {
  name: 'clocks',
  does: clockJumps.does,
  alerts: ['ParleyClockSkew'],
  missing: ({ arena }) => clockJumps.missing?.(arena),
  inject: async (stage) => (await clockJumps.inject(stage)).heal,
};

const restored: Drill = {
  name: 'restored',
  does: 'the database comes back as a backup of another branch has it',
  alerts: ['ParleyIncarnationChanged'],
  inject: async ({ arena }) => {
    await arena.pool.query('update parley.incarnation set timeline_id = timeline_id + 1');
    return () => Promise.resolve();
  },
};

/** `auto` would spare the workflows what hurts them. */
async function takeWorkflows({ people, arena }: DrillStage): Promise<() => Promise<void>> {
  const { admin } = people.patiently('operator');
  await admin.setPath({ path: 'workflow', rollout: 100 });
  return async () => {
    await admin.setPath({ path: arena.path, rollout: 100 });
  };
}

/** So that every task needs a replay. */
const SMALL_CACHE = { WORKER_CACHE_SIZE: '1' };

const smallCaches: Drill = {
  name: 'small-caches',
  does: 'the workers have room for one conversation in their caches',
  alerts: ['ParleyForcedEvictions', 'ParleyActorRestartRateHigh'],
  inject: async (stage) => {
    const { workers } = stage.arena;
    for (const worker of workers) await worker.deploy({ env: SMALL_CACHE });
    const goBack = await takeWorkflows(stage);
    return async () => {
      await goBack();
      for (const worker of workers) await worker.deploy();
    };
  },
};

const STANDS_MS = 2500;
const WORKS_MS = 400;

const stuttering: Drill = {
  name: 'stuttering-workers',
  does: `the workers stand still for ${STANDS_MS} ms again and again`,
  alerts: ['ParleyScheduleToStartHigh'],
  inject: async (stage) => {
    const { workers } = stage.arena;
    const goBack = await takeWorkflows(stage);
    const over = new AbortController();
    const signalAll = (signal: 'SIGSTOP' | 'SIGCONT'): void => workers.forEach((worker) => worker.signal(signal));
    const stutter = async (): Promise<void> => {
      while (!over.signal.aborted) {
        signalAll('SIGSTOP');
        await sleep(STANDS_MS, undefined, { signal: over.signal }).catch(() => undefined);
        signalAll('SIGCONT');
        await sleep(WORKS_MS, undefined, { signal: over.signal }).catch(() => undefined);
      }
    };
    const running = stutter();
    return async () => {
      over.abort();
      await running;
      await goBack();
    };
  },
};

export const PROCESS_DRILLS: readonly Drill[] = [
  temporalGone,
  workersGone,
  leak,
  clocks,
  restored,
  smallCaches,
  stuttering,
];
