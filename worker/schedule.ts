import { type Client, ScheduleAlreadyRunning, ScheduleOverlapPolicy } from '@temporalio/client';
import { SWEEP_WORKFLOW } from '../workflows/names.ts';

/** One for each task queue: installations that share a namespace, or one that moved to another queue, all need theirs. */
export function sweepScheduleId(taskQueue: string): string {
  return `parley-sweep/${taskQueue}`;
}

/** Makes sure that the sweep runs every minute; any number of workers may call it at once. */
export async function ensureSweepSchedule(client: Client, taskQueue: string): Promise<void> {
  try {
    await client.schedule.create({
      scheduleId: sweepScheduleId(taskQueue),
      spec: { intervals: [{ every: '1 minute' }] },
      policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 minute' },
      action: {
        type: 'startWorkflow',
        workflowType: SWEEP_WORKFLOW,
        workflowId: `sweep/${taskQueue}`,
        taskQueue,
        workflowExecutionTimeout: '5 minutes',
      },
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
  }
}
