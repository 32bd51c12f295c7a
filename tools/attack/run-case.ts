import type { AttackCase, Findings } from './attack-case.ts';
import type { Battlefield } from './battlefield.ts';
import { describe, sleep } from '../load/closed-loop.ts';
import type { MemoryUse } from '../load/inspector.ts';
import type { AttackReport } from './report.ts';

/** Bystanders run at least so long, so that a percentile means something: 500 reads, and 100 messages. */
const SHORTEST_MS = 5000;
/** A case that takes longer has stopped the service. */
const LONGEST_MS = 120_000;
/** Time for connections and timers of the case to end before memory is read. */
const SETTLE_MS = 1500;
const NO_MEMORY: MemoryUse = { rss: 0, heapUsed: 0, external: 0 };

/** Runs one case beside the bystanders. */
export async function runCase(field: Battlefield, attack: AttackCase): Promise<AttackReport> {
  const { target, bystanders } = field;
  const before = await field.memory();
  await field.longestStopMs();
  let highestMb = target.process?.residentMb() ?? 0;
  const watch = setInterval(() => (highestMb = Math.max(highestMb, target.process?.residentMb() ?? 0)), 100);
  bystanders.start();
  const startedAt = performance.now();
  const findings = await within(LONGEST_MS, attack.run(target));
  const tookMs = performance.now() - startedAt;
  await sleep(Math.max(0, SHORTEST_MS - tookMs));
  const seen = await bystanders.stop();
  clearInterval(watch);
  const isProcessDead = await field.restore();
  const longestStopMs = await field.longestStopMs();
  await sleep(SETTLE_MS);
  const after = isProcessDead ? NO_MEMORY : await field.memory();
  const memory = { before, after, highestMb };
  return { attack, seconds: tookMs / 1000, findings, bystanders: seen, memory, longestStopMs, isProcessDead };
}

async function within(ms: number, running: Promise<Findings>): Promise<Findings> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Findings>((resolve) => {
    timer = setTimeout(() => resolve({ achieved: {}, failures: [`The case did not end within ${ms / 1000} s.`] }), ms);
  });
  try {
    return await Promise.race([running, late]);
  } catch (error) {
    return { achieved: {}, failures: [`The case failed: ${describe(error)}`] };
  } finally {
    clearTimeout(timer);
  }
}
