import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type proto from '@temporalio/proto';
import { waitUntil } from './wait-until.ts';

type HistoryEvent = proto.temporal.api.history.v1.IHistoryEvent;

/**
 * Resets the newest run of a workflow: a new run replays it up to a task, and gets its later signals and updates again.
 * @param choose picks one of the tasks that the run has completed. `undefined` = the one is missing; it waits for more
 * @throws ServiceError if the run ended meanwhile and is gone
 */
export async function resetRun(
  client: Client,
  workflowId: string,
  choose: (completed: readonly HistoryEvent[]) => HistoryEvent | undefined,
): Promise<void> {
  const { namespace } = client.options;
  const reset = async (): Promise<boolean> => {
    const { runId } = await client.workflow.getHandle(workflowId).describe();
    const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    const task = choose(events?.filter((event) => Boolean(event.workflowTaskCompletedEventAttributes)) ?? []);
    if (task === undefined) return false;
    await client.workflowService.resetWorkflowExecution({
      namespace,
      workflowExecution: { workflowId, runId },
      reason: 'test',
      requestId: randomUUID(),
      workflowTaskFinishEventId: task.eventId ?? null,
    });
    return true;
  };
  await waitUntil(reset, { what: `the run of ${workflowId} has completed its task` });
}
