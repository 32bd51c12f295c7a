import type { PathSetting } from '../../client/index.ts';
import type { Service } from '../harness/service.ts';
import { spend, waitUntil } from '../harness/wait-until.ts';
import { manyId, seedMany } from '../load/seed-many.ts';
import { type Decided, decidedBy } from './decided.ts';
import { CIRCLE, startLoad } from '../soak/load.ts';
import { recount } from '../soak/run.ts';
import type { PhaseReport, RehearsalReport, Rollback } from './outcome.ts';
import type { RehearsalSize } from './options.ts';
import { describePhase, describeRollback } from './report.ts';

/** Shares of the conversations that workflows decide, one after another; then the way back. */
export const PHASES = [1, 10, 50, 100] as const;

/** Workflows that decided nothing for so long decide nothing any more. */
const QUIET_MS = 1000;

/**
 * Moves a service under load from the direct path to workflows, phase by phase, and back. Everything that was acknowledged is counted
 * again at the end.
 * @param service on the path `direct`
 */
export async function rehearse(
  service: Service,
  size: RehearsalSize,
  seed: number,
  say: (line: string) => void = () => undefined,
): Promise<RehearsalReport> {
  const circles = { ...CIRCLE, name: `rehearsal ${seed} ${Date.now()}`, conversations: size.conversations };
  await seedMany(service.pool, circles);
  const ids = Array.from({ length: size.conversations }, (_, n) => manyId(circles.name, n));
  // The load ends when the rehearsal does; this is only its longest time.
  const seconds = 3600;
  const load = await startLoad(service.urls(), circles, { ...size, seconds, everyMs: 1000, seed });
  const end = new AbortController();
  const operators = service.urls().map((_, api) => service.clientOf('operator', { api }));
  const problems: string[] = [];
  const setPath = async (setting: PathSetting): Promise<Pick<Rollback, 'answeredMs' | 'appliedMs'>> => {
    const from = performance.now();
    await operators[0]?.admin.setPath(setting);
    const answeredMs = performance.now() - from;
    const isApplied = async (): Promise<boolean> =>
      (await Promise.all(operators.map((operator) => operator.admin.path()))).every(
        ({ path, rollout }) => path === setting.path && rollout === setting.rollout,
      );
    await waitUntil(isApplied, { what: `every API takes ${setting.path} to ${setting.rollout} %`, everyMs: 5 });
    return { answeredMs, appliedMs: performance.now() - from };
  };

  const running = load.run(end.signal);
  try {
    let decided = await decidedBy(service);
    // A window begins where the one before it ended, so that it has the switch to its phase.
    const phase = async (share: number): Promise<PhaseReport> => {
      await spend(size.phaseSeconds * 1000);
      const { latency, retries } = load.window();
      const now = await decidedBy(service);
      const report = {
        share,
        latency,
        retries,
        direct: now.direct - decided.direct,
        workflow: now.workflow - decided.workflow,
      };
      decided = now;
      say(describePhase(report));
      return report;
    };
    const phases = [await phase(0)];
    for (const share of PHASES) {
      await setPath({ path: 'workflow', rollout: share });
      phases.push(await phase(share));
    }
    const from = performance.now();
    const { answeredMs, appliedMs } = await setPath({ path: 'direct', rollout: 100 });
    const drainedMs = (await lastDecisionOfWorkflows(service)) - from;
    const rollback = { answeredMs, appliedMs, drainedMs: Math.max(appliedMs, drainedMs) };
    say(describeRollback(rollback));
    decided = await decidedBy(service);
    phases.push(await phase(0));
    end.abort();
    await running;
    problems.push(...load.problems, ...(await recount(service, ids, load.acknowledged())));
    return { size, seed, phases, rollback, acknowledged: load.count(), commits: load.commits(), problems };
  } finally {
    end.abort();
    await running.catch(() => undefined);
    await load.close();
  }
}

/** When a workflow decided last: the counters have not moved for a second since. In the time of `performance.now()`. */
async function lastDecisionOfWorkflows(service: Service): Promise<number> {
  let last = performance.now();
  let seen: Decided | undefined;
  await waitUntil(
    async () => {
      const now = await decidedBy(service);
      if (seen?.workflow !== now.workflow) last = performance.now();
      seen = now;
      return performance.now() - last > QUIET_MS;
    },
    { what: 'no workflow decides any more' },
  );
  return last;
}
