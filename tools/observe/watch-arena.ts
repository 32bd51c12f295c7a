import type { Arena } from '../chaos/arena/arena.ts';
import type { Prometheus, Targets } from './prometheus.ts';

const EVERY_MS = 500;

/** Has Prometheus scrape the processes of an arena, also those that start later. @returns ends it */
export function watchArena(prometheus: Prometheus, arena: Arena): () => void {
  let last = '';
  const look = (): void => {
    const targets = targetsOf(arena);
    const text = JSON.stringify(targets);
    if (text !== last) prometheus.scrape(targets);
    last = text;
  };
  look();
  const timer = setInterval(look, EVERY_MS);
  return () => clearInterval(timer);
}

/** A process that ended stays a target until another one takes its place, as where targets are names of hosts. */
function targetsOf({ apis, workers, temporalMetrics }: Arena): Targets {
  return {
    api: apis.map((member) => new URL(member.process().url).host),
    worker: workers.map((member) => new URL(member.process().url).host),
    'worker-sdk': workers.flatMap((member) => member.sdkMetrics() ?? []),
    temporal: temporalMetrics === undefined ? [] : [temporalMetrics],
  };
}
