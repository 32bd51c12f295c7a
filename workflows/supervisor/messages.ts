import { defineQuery } from '@temporalio/workflow';
import type { SupervisorState } from '../../domain/supervision/state.ts';

/** Id of the supervisor's workflow. There is one for each task queue of conversations. */
export function supervisorWorkflowId(taskQueue: string): string {
  return `supervisor/${taskQueue}`;
}

/** The task queue of the supervisor. */
export function supervisorTaskQueue(taskQueue: string): string {
  return `${taskQueue}-supervisor`;
}

/** Input of the workflow. */
export interface SupervisorInput {
  /** From the run before; absent = it reads its restarts from the audit trail. */
  readonly state?: SupervisorState;
  /** Rounds of one run. @default 100 */
  readonly rounds?: number;
}

export const supervisorState = defineQuery<SupervisorState | undefined>('state');
