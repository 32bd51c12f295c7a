/** What clients and operators read when a conversation cannot be decided because of its lock. */
export const LOCKED = 'The conversation is locked in the database';

/** Somebody else kept the row of the conversation locked for too long: nothing was decided. */
export class ConversationLockedError extends Error {
  override readonly name = 'ConversationLockedError';
  /** As from the server: a lock was not available. */
  readonly code = '55P03';

  constructor() {
    super(LOCKED);
  }
}
