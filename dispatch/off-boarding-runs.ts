import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { OFF_BOARDING_WORKFLOW } from '../workflows/names.ts';

/** Workflow id of an off-boarding. One for each task queue: several installations may share a namespace. */
export function offBoardingWorkflowId(taskQueue: string, id: number): string {
  return `off-boarding/${taskQueue}/${id}`;
}

/** Has the workers work on an off-boarding. */
export interface OffBoardingRuns {
  /** Starts its workflow anew, so that it goes on at once. @throws Error if Temporal does not answer: the sweep starts it later */
  readonly startNow: (id: number, deadline: number) => Promise<void>;
  /** Starts its workflow, unless it is running. @throws Error if Temporal does not answer */
  readonly startIfGone: (id: number) => Promise<void>;
}

export function makeOffBoardingRuns(client: Client, taskQueue: string): OffBoardingRuns {
  const optionsOf = (id: number): { taskQueue: string; workflowId: string; args: [number] } => ({
    taskQueue,
    workflowId: offBoardingWorkflowId(taskQueue, id),
    args: [id],
  });
  return {
    startNow: async (id, deadline) => {
      await client.withDeadline(deadline, () =>
        client.workflow.start(OFF_BOARDING_WORKFLOW, {
          ...optionsOf(id),
          // A run that sleeps for an hour would not hear of an undo. How far it has come stands in Postgres.
          workflowIdConflictPolicy: 'TERMINATE_EXISTING',
        }),
      );
    },
    startIfGone: async (id) => {
      try {
        await client.workflow.start(OFF_BOARDING_WORKFLOW, optionsOf(id));
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      }
    },
  };
}
