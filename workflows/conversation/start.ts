import { type ConversationInput, type ConversationSettings, conversationWorkflowId } from './messages.ts';

/** Start options of a conversation: the same for the API, the sweep and tests. */
export interface ConversationStart {
  readonly workflowId: string;
  readonly taskQueue: string;
  readonly args: [ConversationInput];
  /**
   * After this time another worker takes the task of a killed worker. The default of 10 s would use up the whole deadline
   * of a request.
   */
  readonly workflowTaskTimeout: '3 seconds';
  readonly staticSummary: string;
}

/** @param taskQueue where the workers listen */
export function conversationStart(
  conversation: string,
  settings: ConversationSettings,
  taskQueue: string,
): ConversationStart {
  return {
    workflowId: conversationWorkflowId(conversation),
    taskQueue,
    args: [{ conversation, settings }],
    workflowTaskTimeout: '3 seconds',
    staticSummary: 'MLS conversation: one mailbox, one order',
  };
}
