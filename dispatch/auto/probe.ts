import { randomUUID } from 'node:crypto';
import { type Client, WithStartWorkflowOperation, WorkflowUpdateFailedError } from '@temporalio/client';
import { type ConversationSettings, sendMessages } from '../../workflows/conversation/messages.ts';
import { conversationStart } from '../../workflows/conversation/start.ts';
import { CONVERSATION_WORKFLOW } from '../../workflows/names.ts';

/** No conversation has such an id: `~` is not of base64url. */
const RESERVED = '~probe-';
const TIME_OUT_MS = 1000;

/**
 * Asks whether server and worker both answer: an update without operations for a conversation that does not exist. The
 * workflow refuses it as malformed, which is the answer; the run ends by itself. Workers of earlier versions do the same.
 */
export function makeProbe(deps: {
  readonly client: Client;
  readonly taskQueue: string;
  readonly settings: ConversationSettings;
}): () => Promise<boolean> {
  const { client, taskQueue, settings } = deps;
  // Kept until it is answered. So an outage leaves one run, and a run that is stuck itself is asked once only.
  let conversation = RESERVED + randomUUID();
  return async () => {
    const startWorkflowOperation = new WithStartWorkflowOperation(CONVERSATION_WORKFLOW, {
      ...conversationStart(conversation, settings, taskQueue, { summary: 'a process asks whether Temporal answers' }),
      workflowIdConflictPolicy: 'USE_EXISTING',
    });
    try {
      await client.withDeadline(Date.now() + TIME_OUT_MS, () =>
        client.workflow.executeUpdateWithStart(sendMessages, {
          args: [{ operations: [], requests: [] }],
          startWorkflowOperation,
        }),
      );
    } catch (error) {
      if (!(error instanceof WorkflowUpdateFailedError)) return false;
    }
    conversation = RESERVED + randomUUID();
    return true;
  };
}
