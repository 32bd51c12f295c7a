import { describe } from '../load/closed-loop.ts';
import { makeLatencyRecorder } from '../load/histogram.ts';
import type { Contender } from './contender.ts';
import type { Measurement } from './measurement.ts';
import { toMeasurement } from './measurement.ts';

/**
 * Runs tasks in turn: A B C, A B C, .. Other load on the machine then disturbs all of them equally, so small
 * differences between them are reliable.
 */
export async function paired(
  options: { readonly contender: Contender; readonly warmUpMs: number; readonly measureMs: number },
  things: readonly { readonly load: string; readonly run: () => Promise<void> }[],
): Promise<Measurement[]> {
  const recorders = things.map(() => makeLatencyRecorder());
  const failures = things.map((): string[] => []);
  const startedAt = performance.now();
  const warm = startedAt + options.warmUpMs;
  const end = warm + options.measureMs;
  while (performance.now() < end) {
    for (const [i, { run }] of things.entries()) {
      const from = performance.now();
      try {
        await run();
        if (from >= warm) recorders[i]?.record(performance.now() - from);
      } catch (error) {
        failures[i]?.push(describe(error));
      }
    }
  }
  return things.flatMap(({ load }, i) => {
    const latency = recorders[i]?.summary();
    if (latency === undefined) return [];
    // The time of this task alone.
    const seconds = (latency.mean * latency.count) / 1000;
    return [toMeasurement(load, options.contender.name, { seconds, latency, failures: failures[i] ?? [] })];
  });
}
