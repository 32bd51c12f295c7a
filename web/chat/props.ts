import type { ChatConversation } from '../../client/index.ts';
import type { ChatModel } from './chat-model.ts';

/** What the parts of the left pane are given. */
export interface ChatPaneProps {
  readonly model: ChatModel;
  /** Shows a conversation, or none. */
  readonly onShow: (conversation: string | undefined) => void;
}

/** What the parts of one conversation are given. */
export interface ConversationProps {
  readonly model: ChatModel;
  readonly conversation: ChatConversation;
}
