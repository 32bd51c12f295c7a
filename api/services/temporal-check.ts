import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import { askTemporal } from '../../process/temporal-client.ts';
import type { WorkersSeen } from '../../store/process/processes.ts';
import type { PathSetting } from '../../dispatch/path-switch.ts';
import type { Check, CheckResult } from './health-checks.ts';

/** Time for Temporal to answer: less than the limit of a check. */
const CHECK_MS = 900;

/** What the check found: Temporal does not answer, or it does and no worker works. */
type Found = 'away' | 'no worker' | 'serves';

/**
 * Checks whether Temporal answers this process, and whether a worker works.
 *
 * Temporal away is unhealthy if some conversations need it, and degraded otherwise. No worker is degraded. Neither takes the
 * process out of rotation (`isReady`).
 * @param setting the path of conversations now
 * @param workers as they signed in Postgres; undefined = not known yet
 */
export function temporalCheck(deps: {
  readonly client: Client;
  readonly taskQueue: string;
  readonly workers: () => WorkersSeen | undefined;
  readonly setting: () => PathSetting;
  readonly log: Logger;
}): Check {
  const { client, taskQueue, setting, log } = deps;
  let before: Found | undefined;
  return async () => {
    const error: unknown = await askTemporal(client, CHECK_MS).then(
      () => undefined,
      (cause: unknown) => cause,
    );
    const workers = deps.workers();
    const found = error !== undefined ? 'away' : workers?.working === 0 ? 'no worker' : 'serves';
    if (found !== before) {
      const details = { workers, ...(error === undefined ? {} : { err: error }) };
      if (found !== 'serves') log.warn(details, `health of Temporal: ${found}`);
      else if (before !== undefined) log.info(details, `health of Temporal: ${found} again`);
    }
    before = found;
    const facts = { workers: workers?.working ?? 0 };
    if (found === 'serves') return { status: 'healthy', facts };
    if (found === 'no worker' && workers !== undefined) {
      return { status: 'degraded', reason: noWorkerReason(taskQueue, workers), facts };
    }
    return { ...awayResult(setting()), facts };
  };
}

function awayResult(setting: PathSetting): CheckResult {
  return needsTemporal(setting)
    ? { status: 'unhealthy', reason: 'it does not answer, and conversations on the path `workflow` need it' }
    : { status: 'degraded', reason: 'it does not answer: operations are decided directly' };
}

/** The workers that do not work say what to look for. */
export function noWorkerReason(
  taskQueue: string,
  { waiting, silent, elsewhere }: Omit<WorkersSeen, 'working'>,
): string {
  const others = [
    [silent, 'silent (stopped, killed, or their workflow thread does not answer)'],
    [waiting, 'running but not connected to Temporal'],
    [elsewhere, 'on another task queue or namespace'],
  ] as const;
  const known = others.flatMap(([count, state]) => (count === 0 ? [] : [`${count} ${state}`]));
  return `no worker works on the task queue ${taskQueue}${known.length === 0 ? '' : `: ${known.join(', ')}`}`;
}

/** Whether some conversations are served by their workflow only. The rest beside a rollout takes the other path. */
export function needsTemporal({ path, rollout }: PathSetting): boolean {
  return path === 'workflow' ? rollout > 0 : rollout < 100;
}
