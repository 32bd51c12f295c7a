import { type ConversationInput, type ConversationSettings, conversationWorkflowId } from './messages.ts';

/** Start options of a conversation workflow. The API, the sweep and the tests use the same ones. */
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

/** @param taskQueue the task queue that the workers poll */
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
