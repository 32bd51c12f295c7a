import { type ConversationSettings, DEFAULT_SETTINGS } from '../workflows/conversation/messages.ts';

/**
 * Settings of a conversation's run, from the configuration of a process. A forced continue-as-new (for tests) may also
 * come early in a run.
 */
export function conversationSettings(given: {
  readonly idleMs: number;
  /** Commands; absent = as the server suggests. */
  readonly continueAfter: number | undefined;
  readonly logLevel: string;
}): ConversationSettings {
  return {
    ...DEFAULT_SETTINGS,
    idleMs: given.idleMs,
    logBatches: given.logLevel === 'debug' || given.logLevel === 'trace',
    ...(given.continueAfter === undefined ? {} : { continueAfter: given.continueAfter, minimumRunMs: 0 }),
  };
}
