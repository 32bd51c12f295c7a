import { ApplicationFailure, type Client, WorkflowUpdateFailedError } from '@temporalio/client';
import {
  type ConversationState,
  FAILURE,
  conversationWorkflowId,
  sendMessages,
} from '../workflows/conversation/messages.ts';

/**
 * What a run says of itself: an update without operations, which it refuses with its state in the details. Nothing is written.
 *
 * A query would be the natural way, but it harms a run at work. The SDK's core (1.24) answers a query that comes with a workflow task
 * as soon as a local activity has ended, and sends what the code does then with the next task. If the run has to be replayed, its code
 * does it one task earlier than the history says, and the run stands still until somebody replaces it.
 * @returns `undefined`: its worker is of a release that says nothing
 * @throws errors of the Temporal client: no run, no answer in time
 */
export async function askState(client: Client, conversation: string): Promise<ConversationState | undefined> {
  try {
    const handle = client.workflow.getHandle(conversationWorkflowId(conversation));
    await handle.executeUpdate(sendMessages, { args: [{ operations: [], requests: [] }] });
    return undefined;
  } catch (error) {
    const cause = error instanceof WorkflowUpdateFailedError ? error.cause : undefined;
    if (!(cause instanceof ApplicationFailure) || cause.type !== FAILURE.malformed) throw error;
    return cause.details?.[0] as ConversationState | undefined;
  }
}
