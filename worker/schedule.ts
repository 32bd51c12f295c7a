import {
  type Client,
  ScheduleAlreadyRunning,
  type ScheduleOptions,
  type ScheduleOptionsStartWorkflowAction,
  ScheduleOverlapPolicy,
  type Workflow,
} from '@temporalio/client';
import { consistencyScheduleId } from '../dispatch/consistency-audits.ts';
import { CONSISTENCY_WORKFLOW, SWEEP_WORKFLOW } from '../workflows/names.ts';
import type { SweepInput } from '../workflows/sweep.ts';

/** One run sweeps each minute for an hour: 24 runs a day in the list of workflows. */
export const EVERY_HOUR: SweepInput = { everyMs: 60_000, forMs: 3_600_000 };

/**
 * Id of the sweep's schedule. There is one schedule per task queue, because several installations may share a
 * namespace, and an installation may move to another task queue.
 */
export function sweepScheduleId(taskQueue: string): string {
  return `parley-sweep/${taskQueue}`;
}

/**
 * Creates the schedule of the sweep, or brings one of an earlier release up to date. Several workers may call this at once.
 * The schedule fires each minute and skips while a run is alive. So a run that failed or was terminated has a successor within a
 * minute, and not at the next hour.
 */
export async function ensureSweepSchedule(client: Client, taskQueue: string): Promise<void> {
  const wanted = scheduleOf(taskQueue);
  try {
    await client.schedule.create(wanted);
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await bringUpToDate(client, wanted);
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

type SweepSchedule = ScheduleOptions<ScheduleOptionsStartWorkflowAction<Workflow>>;

function scheduleOf(taskQueue: string): SweepSchedule {
  return {
    scheduleId: sweepScheduleId(taskQueue),
    spec: { intervals: [{ every: '1 minute' }] },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 minute' },
    action: {
      type: 'startWorkflow',
      workflowType: SWEEP_WORKFLOW,
      workflowId: `sweep/${taskQueue}`,
      taskQueue,
      args: [EVERY_HOUR],
      // A round without an answer of Postgres takes three minutes.
      workflowExecutionTimeout: '90 minutes',
      staticSummary: 'each minute for an hour: wakes conversations that are due, deletes orphans',
    },
  };
}

/** Changes the action only: an operator may have paused the schedule, or given it another interval. */
async function bringUpToDate(client: Client, { scheduleId, action }: SweepSchedule): Promise<void> {
  const handle = client.schedule.getHandle(scheduleId);
  const { action: found } = await handle.describe();
  if (JSON.stringify(found.args) === JSON.stringify(action.args)) return;
  await handle.update((previous) => ({ ...previous, action }));
}
