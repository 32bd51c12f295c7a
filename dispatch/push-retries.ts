import type { Client } from '@temporalio/client';
import { PUSH_RETRY_WORKFLOW } from '../workflows/names.ts';

/** Id of the workflow that tries failing push targets again. One for each task queue: installations may share a namespace. */
export function pushRetryWorkflowId(taskQueue: string): string {
  return `push-retry/${taskQueue}`;
}

/** Starts that workflow unless it runs. */
export async function ensurePushRetries(client: Client, taskQueue: string): Promise<void> {
  await client.workflow.start(PUSH_RETRY_WORKFLOW, {
    workflowId: pushRetryWorkflowId(taskQueue),
    taskQueue,
    workflowIdConflictPolicy: 'USE_EXISTING',
    staticSummary: 'Sends wake-ups of failing push targets again',
    args: [],
  });
}
