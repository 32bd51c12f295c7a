import type { Client } from '@temporalio/client';
import { CONVERSATION_WORKFLOW } from '../workflows/names.ts';

/** All runs of conversations of this service, as the list of Temporal shows them: it is behind by about a second. */
export interface RunningWorkflows {
  /** Runs that run, and those that failed within the last hour. Errors are those of the Temporal client. */
  readonly count: (deadline: number) => Promise<{ readonly running: number; readonly failed: number }>;
  /** Who polled the task queue for workflow tasks, and how long ago. The server forgets a poller after five minutes. */
  readonly pollers: (deadline: number) => Promise<{ readonly identity: string; readonly silentMs: number }[]>;
  /** Ids of conversations with a run. */
  readonly list: (limit: number, deadline: number) => Promise<string[]>;
}

const FAILED_WITHIN_MS = 3600_000;
const PREFIX = 'conversation/';

/** Query of Temporal's list: all runs of conversations of this service. @see https://docs.temporal.io/list-filter */
export function conversationRuns(taskQueue: string): string {
  return `WorkflowType = '${CONVERSATION_WORKFLOW}' and TaskQueue = '${taskQueue.replaceAll("'", "''")}'`;
}

export function makeRunningWorkflows(client: Client, taskQueue: string): RunningWorkflows {
  const ofService = conversationRuns(taskQueue);
  const running = `${ofService} and ExecutionStatus = 'Running'`;
  return {
    count: (deadline) =>
      client.withDeadline(deadline, async () => {
        const since = new Date(Date.now() - FAILED_WITHIN_MS).toISOString();
        const failed = `${ofService} and ExecutionStatus = 'Failed' and CloseTime > '${since}'`;
        const counts = await Promise.all([client.workflow.count(running), client.workflow.count(failed)]);
        return { running: counts[0].count, failed: counts[1].count };
      }),
    pollers: (deadline) =>
      client.withDeadline(deadline, async () => {
        const { namespace } = client.options;
        const { pollers } = await client.workflowService.describeTaskQueue({
          namespace,
          taskQueue: { name: taskQueue },
        });
        return pollers.map(({ identity, lastAccessTime }) => ({
          identity: identity ?? '',
          silentMs: Math.max(0, Date.now() - Number(lastAccessTime?.seconds ?? 0) * 1000),
        }));
      }),
    list: (limit, deadline) =>
      client.withDeadline(deadline, async () => {
        const found: string[] = [];
        for await (const { workflowId } of client.workflow.list({ query: running, pageSize: limit })) {
          if (found.length >= limit) break;
          if (workflowId.startsWith(PREFIX)) found.push(workflowId.slice(PREFIX.length));
        }
        return found;
      }),
  };
}
