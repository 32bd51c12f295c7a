import { type Client, WithStartWorkflowOperation } from '@temporalio/client';
import type { Submitter } from '../../../../dispatch/submission.ts';
import { classifyUpdateError } from '../../../../dispatch/temporal-errors.ts';
import { AppError } from '../../../../domain/errors.ts';
import { plainMessage } from '../plain-sql.ts';
import { NAIVE_WORKFLOW, send } from './messages.ts';

/** Between two tries while a run continues as new. */
const PAUSE_MS = 50;

/** Contender: each message is one update-with-start of the conversation's workflow. */
export function makeNaiveSubmitter(client: Client, taskQueue: string): Submitter {
  return {
    submit: async (draft) => {
      const { ciphertext, epoch, ...message } = plainMessage(draft);
      const encoded = Buffer.from(ciphertext).toString('base64');
      const args = [{ ...message, ...(epoch === undefined ? {} : { epoch }), ciphertext: encoded }] as const;
      for (;;) {
        try {
          return await client.workflow.executeUpdateWithStart(send, {
            args: [...args],
            startWorkflowOperation: new WithStartWorkflowOperation(NAIVE_WORKFLOW, {
              workflowId: `naive/${draft.conversation}`,
              taskQueue,
              args: [{ conversation: draft.conversation }],
              workflowIdConflictPolicy: 'USE_EXISTING',
            }),
          });
        } catch (error) {
          const isOver = Date.now() + PAUSE_MS >= draft.deadline;
          if (classifyUpdateError(error) === 'defect' || isOver) {
            throw new AppError('unavailable', 'The update failed', {}, { cause: error });
          }
          await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
        }
      }
    },
  };
}
