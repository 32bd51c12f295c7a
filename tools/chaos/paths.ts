import { spend } from '../harness/wait-until.ts';
import type { Arena } from './arena/arena.ts';

/** How many operations went which way between two samples. */
export interface PathSample {
  /** By `performance.now()`. */
  readonly at: number;
  readonly workflow: number;
  readonly direct: number;
  /** Batches that left the workflow path, by reason. */
  readonly diversions: Readonly<Record<string, number>>;
}

/** Watches the metrics of the API processes. */
export interface PathWatch {
  readonly samples: readonly PathSample[];
  readonly stop: () => void;
}

const EVERY_MS = 500;
/** A stopped process answers nothing. */
const PATIENCE_MS = 400;
const OPERATIONS = /^parley_operations_total\{[^}]*path="(\w+)"[^}]*\} (\d+)$/gm;
const DIVERSIONS = /^parley_diversions_total\{[^}]*reason="([\w-]+)"[^}]*\} (\d+)$/gm;

export function watchPaths({ apis }: Pick<Arena, 'apis'>): PathWatch {
  const samples: PathSample[] = [];
  /** Last counts by process, because a new process begins at 0. */
  const last = new Map<string, number>();
  let isStopped = false;
  const grown = (process: string, name: string, value: number): number => {
    const key = `${process} ${name}`;
    const before = last.get(key) ?? 0;
    last.set(key, value);
    return value - before;
  };
  const sample = async (): Promise<void> => {
    const ways = new Map<string, number>();
    const diversions = new Map<string, number>();
    const add = (to: Map<string, number>, name: string, by: number): void =>
      void to.set(name, (to.get(name) ?? 0) + by);
    await Promise.all(
      apis.map(async (api) => {
        const { url } = api.process();
        const text = await metricsOf(url);
        const sums = new Map<string, number>();
        for (const [, path = '', count = ''] of text.matchAll(OPERATIONS)) add(sums, path, Number(count));
        for (const [path, sum] of sums) add(ways, path, grown(url, path, sum));
        for (const [, reason = '', count = ''] of text.matchAll(DIVERSIONS)) {
          const by = grown(url, `diverted ${reason}`, Number(count));
          if (by > 0) add(diversions, reason, by);
        }
      }),
    );
    samples.push({
      at: performance.now(),
      workflow: ways.get('workflow') ?? 0,
      direct: ways.get('direct') ?? 0,
      diversions: Object.fromEntries(diversions),
    });
  };
  const run = async (): Promise<void> => {
    while (!isStopped) {
      await sample();
      await spend(EVERY_MS);
    }
  };
  void run();
  return { samples, stop: () => (isStopped = true) };
}

async function metricsOf(url: string): Promise<string> {
  try {
    const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(PATIENCE_MS) });
    return await response.text();
  } catch {
    return '';
  }
}

/** Share of operations that took the workflow between two times; `undefined` = too few to say. */
export function workflowShare(samples: readonly PathSample[], from: number, to: number): number | undefined {
  const between = samples.filter(({ at }) => at >= from && at <= to);
  const workflow = between.reduce((sum, one) => sum + one.workflow, 0);
  const all = workflow + between.reduce((sum, one) => sum + one.direct, 0);
  return all < ENOUGH ? undefined : workflow / all;
}

const ENOUGH = 10;
