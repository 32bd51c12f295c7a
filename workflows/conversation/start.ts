import {
  type ConversationInput,
  type ConversationSettings,
  DEFAULT_SETTINGS,
  conversationWorkflowId,
} from './messages.ts';

/** Start options of a conversation; the same for the API, the sweep and tests. */
export interface ConversationStart {
  readonly workflowId: string;
  readonly taskQueue: string;
  readonly args: [ConversationInput];
  /**
   * A conversation whose task was on a killed worker comes back after this time (10 s by default, which would eat the
   * whole deadline of a request).
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

/**
 * Settings from what an operator states. A forced continue-as-new (for tests) may also come early in a run.
 */
export function makeSettings(given: {
  readonly idleMs: number;
  readonly continueAfter?: number | undefined;
  readonly logLevel: string;
}): ConversationSettings {
  return {
    ...DEFAULT_SETTINGS,
    idleMs: given.idleMs,
    logBatches: given.logLevel === 'debug' || given.logLevel === 'trace',
    ...(given.continueAfter === undefined ? {} : { continueAfter: given.continueAfter, minimumRunMs: 0 }),
  };
}
