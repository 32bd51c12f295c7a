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

type WorkflowSchedule = ScheduleOptions<ScheduleOptionsStartWorkflowAction<Workflow>>;

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
 * The schedule of the sweep. It fires each minute and skips while a run is alive. So a run that failed or was terminated has a
 * successor within a minute, and not at the next hour.
 */
export function sweepSchedule(taskQueue: string): WorkflowSchedule {
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

/** The schedule of the consistency audit: each day, one at a time. A time that passed while Temporal was away is made up for. */
export function consistencySchedule(taskQueue: string): WorkflowSchedule {
  return {
    scheduleId: consistencyScheduleId(taskQueue),
    spec: { intervals: [{ every: '1 day', offset: '3 hours' }] },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 day' },
    action: {
      type: 'startWorkflow',
      workflowType: CONSISTENCY_WORKFLOW,
      workflowId: `consistency/${taskQueue}`,
      taskQueue,
      args: [],
    },
  };
}

/** Creates a schedule, or brings one of an earlier release up to date. Several workers may call this at once. */
export async function ensureSchedule(client: Client, wanted: WorkflowSchedule): Promise<void> {
  try {
    await client.schedule.create(wanted);
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await bringUpToDate(client, wanted);
  }
}

/** Changes the action only: an operator may have paused the schedule, or given it another interval. */
async function bringUpToDate(client: Client, { scheduleId, action }: WorkflowSchedule): Promise<void> {
  const handle = client.schedule.getHandle(scheduleId);
  const { action: found } = await handle.describe();
  if (JSON.stringify(found.args ?? []) === JSON.stringify(action.args)) return;
  await handle.update((previous) => ({ ...previous, action }));
}
