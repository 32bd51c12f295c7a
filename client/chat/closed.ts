/** The chat was closed, or this tab's part of it. */
export class ChatClosedError extends Error {
  override readonly name = 'ChatClosedError';

  constructor() {
    super('the chat is closed');
  }
}
