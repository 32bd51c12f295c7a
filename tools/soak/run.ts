import { setTimeout as pause } from 'node:timers/promises';
import { findInconsistencies } from '../harness/invariants.ts';
import type { Service } from '../harness/service.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { describe } from '../load/closed-loop.ts';
import { manyId, seedMany } from '../load/seed-many.ts';
import { checkLog } from '../stress/check-log.ts';
import { CIRCLE, startLoad } from './load.ts';
import type { SoakSize } from './options.ts';
import { makeSampler } from './sampler.ts';
import { type Sample, type SeriesVerdict, judgeAll } from './verdict.ts';

/** The result of a run. */
export interface SoakReport {
  readonly size: SoakSize;
  readonly seed: number;
  /** Time that it really ran. */
  readonly seconds: number;
  readonly acknowledged: number;
  readonly commits: number;
  readonly samples: readonly Sample[];
  readonly verdicts: readonly SeriesVerdict[];
  /** Requests that failed, messages that did not arrive, faults that the recount found. Empty = none. */
  readonly problems: readonly string[];
}

export interface SoakDeps {
  readonly service: Service;
  readonly size: SoakSize;
  readonly seed: number;
  /** @default none: those of the servers are not known */
  readonly serverPids?: Readonly<Record<string, number>>;
  readonly temporalFile?: string | undefined;
  readonly say?: (line: string) => void;
  /** Ends the traffic early. What was measured is reported all the same. */
  readonly signal?: AbortSignal;
  /** Called after each sample. */
  readonly onSample?: (sample: Sample) => void;
}

/** Histories that each sample looks at. */
const WATCHED = 10;
/** How often progress is told. */
const SAY_EVERY = 12;

/** Steady traffic on a service, looked at from all sides, and recounted at the end. */
export async function runSoak(deps: SoakDeps): Promise<SoakReport> {
  const { service, size, seed, serverPids = {}, temporalFile, say = () => undefined } = deps;
  const circles = { ...CIRCLE, name: `soak ${seed} ${Date.now()}`, conversations: size.conversations };
  await seedMany(service.pool, circles);
  await service.pool.query('analyze');
  const ids = Array.from({ length: size.conversations }, (_, n) => manyId(circles.name, n));
  const load = await startLoad(service.urls(), circles, { ...size, seed });
  const problems: string[] = [];
  const samples: Sample[] = [];
  const startedAt = performance.now();
  let seconds = 0;
  try {
    const sampler = makeSampler({ service, load, serverPids, temporalFile, watched: ids.slice(0, WATCHED) });
    const traffic = new AbortController();
    const running = load.run(deps.signal ?? new AbortController().signal).finally(() => {
      seconds = (performance.now() - startedAt) / 1000;
      traffic.abort();
    });
    for (;;) {
      await pause(size.everyMs, undefined, { signal: traffic.signal }).catch(() => undefined);
      // The last sample would be of a service without traffic.
      if (traffic.signal.aborted || deps.signal?.aborted === true) break;
      try {
        const sample = await sampler();
        samples.push(sample);
        deps.onSample?.(sample);
      } catch (error) {
        problems.push(`sample: ${describe(error)}`);
      }
      if (samples.length % SAY_EVERY === 0) say(lineOf(samples.at(-1), load.count()));
    }
    await running;
    say(`soak: ${load.count()} acknowledged, recounting`);
    problems.push(...load.problems, ...(await recount(service, ids, load.acknowledged())));
  } finally {
    await load.close();
  }
  const [acknowledged, commits] = [load.count(), load.commits()];
  return { size, seed, seconds, acknowledged, commits, samples, verdicts: judgeAll(samples), problems };
}

/**
 * Counts everything again: nothing is staged, all that was acknowledged is in the logs, and every invariant holds.
 * @returns one line for each fault
 */
export async function recount(
  service: Service,
  ids: readonly string[],
  acknowledged: Parameters<typeof checkLog>[2],
): Promise<string[]> {
  const staged = async (): Promise<number> => {
    const { rows } = await service.pool.query<{ count: number }>('select count(*) from staged');
    return rows[0]?.count ?? 0;
  };
  const left = waitUntil(async () => (await staged()) === 0, { what: 'nothing is staged any more' });
  const wrong = await left.then(
    (): string[] => [],
    (error: unknown) => [describe(error)],
  );
  wrong.push(...(await checkLog(service.pool, ids, acknowledged)));
  return [...wrong, ...(await findInconsistencies(service.pool))];
}

function lineOf(sample: Sample | undefined, count: number): string {
  const value = (key: string): string => (sample?.values.get(key) ?? Number.NaN).toFixed(0);
  return `soak: ${sample?.seconds.toFixed(0) ?? '-'} s, ${count} acknowledged, p95 ${value('latency.p95')} ms, API ${value('api.rss')} MB, worker ${value('worker.rss')} MB`;
}
