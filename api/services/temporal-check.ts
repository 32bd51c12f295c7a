import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import { askTemporal } from '../../process/temporal-client.ts';
import type { PathSetting } from '../../dispatch/path-switch.ts';
import type { Check, CheckStatus } from './health-checks.ts';

/** Time for Temporal to answer. Both calls together must end within the limit of a check. */
const CHECK_MS = 900;
/**
 * A worker polls again at least every minute, so one that polled longer ago has gone or stands still. The server forgets it
 * after five minutes.
 */
const POLLED_WITHIN_MS = 75_000;

/** What the check found: Temporal does not answer, or it does and nobody polls for workflow tasks. */
type Found = 'away' | 'no worker' | 'serves';

/**
 * Checks Temporal, and whether a worker polls the task queue.
 *
 * Without Temporal a process is still healthy enough for requests if no conversation needs it: then the check is degraded, not
 * unhealthy, and the process stays ready. Without a worker it is degraded: each process sees the same, so taking this one out
 * would help nobody.
 * @param setting the path of conversations now
 */
export function temporalCheck(deps: {
  readonly client: Client;
  readonly taskQueue: string;
  readonly setting: () => PathSetting;
  readonly log: Logger;
}): Check {
  const { client, taskQueue, setting, log } = deps;
  let before: Found | undefined;
  return async () => {
    const { found, workers } = await lookAt(client, taskQueue);
    if (found !== before) {
      if (found !== 'serves') log.warn({ workers }, `health of Temporal: ${found}`);
      else if (before !== undefined) log.info({ workers }, `health of Temporal: ${found} again`);
    }
    before = found;
    return { status: statusOf(found, setting()), facts: { workers } };
  };
}

function statusOf(found: Found, setting: PathSetting): CheckStatus {
  if (found === 'serves') return 'healthy';
  return found === 'away' && needsTemporal(setting) ? 'unhealthy' : 'degraded';
}

/** Whether some conversations are served by their workflow only. The rest beside a rollout takes the other path. */
export function needsTemporal({ path, rollout }: PathSetting): boolean {
  return path === 'workflow' ? rollout > 0 : rollout < 100;
}

async function lookAt(client: Client, taskQueue: string): Promise<{ found: Found; workers: number }> {
  try {
    await askTemporal(client, CHECK_MS);
  } catch {
    return { found: 'away', workers: 0 };
  }
  const workers = await countWorkers(client, taskQueue);
  return { found: workers === 0 ? 'no worker' : 'serves', workers };
}

/** Workers (by their identity) that polled for workflow tasks within the last minute. A failed call counts none. */
async function countWorkers(client: Client, taskQueue: string): Promise<number> {
  try {
    const { pollers } = await client.withDeadline(Date.now() + CHECK_MS, () =>
      client.workflowService.describeTaskQueue({
        namespace: client.options.namespace,
        taskQueue: { name: taskQueue },
      }),
    );
    const oldest = Date.now() - POLLED_WITHIN_MS;
    const recent = pollers.filter(({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0) * 1000 >= oldest);
    return new Set(recent.map(({ identity }) => identity)).size;
  } catch {
    return 0;
  }
}
