import { WorkflowNotFoundError } from '@temporalio/client';
import { messageOf } from '../../process/message-of.ts';
import { makeTemporalClient } from '../../process/temporal-client.ts';
import { conversationWorkflowId } from '../../workflows/conversation/messages.ts';
import { Refusal } from './refusal.ts';

const TIME_LIMIT_MS = 5_000;

/**
 * Terminates the workflow of a conversation. The next operation starts another one from the database.
 * @param reason stands in the history
 * @throws Refusal if none runs, or Temporal does not answer
 */
export async function terminateWorkflow(
  server: { readonly address: string; readonly namespace: string },
  conversation: string,
  reason: string,
): Promise<void> {
  const { client, connection } = makeTemporalClient({ ...server, identity: 'web-app' });
  try {
    await client.withDeadline(Date.now() + TIME_LIMIT_MS, () =>
      client.workflow.getHandle(conversationWorkflowId(conversation)).terminate(reason),
    );
  } catch (error) {
    if (error instanceof WorkflowNotFoundError)
      throw new Refusal(409, 'no-workflow', 'No workflow of this conversation runs now.');
    throw new Refusal(409, 'temporal-unavailable', `Temporal does not answer: ${messageOf(error)}`);
  } finally {
    await connection.close();
  }
}
