import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import { CONVERSATION_WORKFLOW } from '../workflows/names.ts';

const WINDOW_MS = 3600_000;
const EVERY_MS = 30_000;

/** Counts runs of conversations that failed within the last hour. A failed run is always a defect, mostly a bad deploy. */
export interface FailedRuns {
  /** At the last look. */
  readonly count: () => number;
  /** Looks now. */
  readonly look: () => Promise<void>;
  readonly close: () => void;
}

/**
 * Asks Temporal regularly. A worker that only counted the failures that it sees itself would lose its count when it is
 * stopped, which is what operators do with a bad deploy.
 */
export function watchFailedRuns(client: Client, taskQueue: string, log: Logger): FailedRuns {
  let failed = 0;
  const look = async (): Promise<void> => {
    const since = new Date(Date.now() - WINDOW_MS).toISOString();
    const { count } = await client.workflow.count(
      `WorkflowType = '${CONVERSATION_WORKFLOW}' and ExecutionStatus = 'Failed' and TaskQueue = '${taskQueue}' and CloseTime > '${since}'`,
    );
    if (count > failed) log.error({ failed: count }, 'runs of conversations failed within the last hour');
    failed = count;
  };
  const timer = setInterval(() => {
    look().catch((error: unknown) => log.debug({ err: error }, 'failed runs were not counted'));
  }, EVERY_MS);
  return { count: () => failed, look, close: () => clearInterval(timer) };
}
