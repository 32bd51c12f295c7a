import { type Client, ScheduleAlreadyRunning, ScheduleOverlapPolicy } from '@temporalio/client';
import { consistencyScheduleId } from '../dispatch/consistency-audits.ts';
import { CONSISTENCY_WORKFLOW, SWEEP_WORKFLOW } from '../workflows/names.ts';

/**
 * Id of the sweep's schedule. There is one schedule per task queue, because several installations may share a
 * namespace, and an installation may move to another task queue.
 */
export function sweepScheduleId(taskQueue: string): string {
  return `parley-sweep/${taskQueue}`;
}

/**
 * Creates the schedule that runs the sweep every minute, if it does not exist. Several workers may call this at once.
 */
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

/**
 * Creates the schedule that runs the consistency audit each day, if it does not exist. One audit at a time. A time that passed while
 * Temporal was away is made up for.
 */
export async function ensureConsistencySchedule(client: Client, taskQueue: string): Promise<void> {
  try {
    await client.schedule.create({
      scheduleId: consistencyScheduleId(taskQueue),
      spec: { intervals: [{ every: '1 day', offset: '3 hours' }] },
      policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 day' },
      action: {
        type: 'startWorkflow',
        workflowType: CONSISTENCY_WORKFLOW,
        workflowId: `consistency/${taskQueue}`,
        taskQueue,
      },
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
  }
}
