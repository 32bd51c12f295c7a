import { proxyLocalActivities } from '@temporalio/workflow';
import type { SweepActivities } from '../activities/sweep.ts';

const activities = proxyLocalActivities<SweepActivities>({
  // For all tries together. Why there is no start-to-close timeout: see the conversation's activities.
  scheduleToCloseTimeout: '90 seconds',
  retry: { maximumAttempts: 3 },
});

/**
 * A Temporal Schedule runs this workflow. It wakes conversations whose timer is due and that have no run, so idle
 * completion, terminate and delete lose no timer. It also deletes orphans.
 * @returns the number of conversations woken, and of rows deleted by table
 */
export async function sweep(): Promise<{ woken: number; deleted: Record<string, number> }> {
  const woken = await activities.wakeDue({ now: Date.now() });
  const deleted = await activities.deleteOrphans();
  return { woken, deleted };
}
