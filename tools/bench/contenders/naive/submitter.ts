import { type Client, WithStartWorkflowOperation } from '@temporalio/client';
import type { Submitter } from '../../../../dispatch/submission.ts';
import { classifyUpdateError } from '../../../../dispatch/temporal-errors.ts';
import { AppError } from '../../../../domain/errors.ts';
import { outcomeFor } from '../../../../domain/outcome.ts';
import { peerCommand, toWire } from '../command.ts';
import { NAIVE_WORKFLOW, send } from './messages.ts';

/** Pause between two attempts while a run continues as new, in milliseconds. */
const PAUSE_MS = 50;

/** Submitter of the naive contender: each command is one update-with-start of the conversation's workflow. */
export function makeNaiveSubmitter(client: Client, taskQueue: string): Submitter {
  return {
    submit: async (submission) => {
      const command = toWire(peerCommand(submission));
      for (;;) {
        try {
          const outcome = await client.workflow.executeUpdateWithStart(send, {
            args: [command],
            startWorkflowOperation: new WithStartWorkflowOperation(NAIVE_WORKFLOW, {
              workflowId: `naive/${submission.conversation}`,
              taskQueue,
              args: [{ conversation: submission.conversation }],
              workflowIdConflictPolicy: 'USE_EXISTING',
            }),
          });
          return outcomeFor(submission.command, outcome);
        } catch (error) {
          const isOver = Date.now() + PAUSE_MS >= submission.deadline;
          if (classifyUpdateError(error) === 'defect' || isOver) {
            throw new AppError('unavailable', 'The update failed', {}, { cause: error });
          }
          await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
        }
      }
    },
  };
}
