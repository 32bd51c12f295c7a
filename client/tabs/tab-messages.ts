import type { Problem } from '../api/types.ts';
import type { Chat, ChatEvents, ChatState } from '../chat/chat.ts';

/** The calls of a chat that one tab asks another for. */
export const CALLS = [
  ...(['create', 'add', 'remove', 'removeDevice', 'leave', 'send', 'retry', 'cancel', 'history', 'delete'] as const),
  ...(['markRead', 'markUnread', 'join', 'askToJoin', 'admit', 'rejoin', 'policy', 'safety'] as const),
  ...(['devices', 'forgetDevice', 'registerPush', 'logOut'] as const),
] as const satisfies readonly (keyof Chat)[];
export type Call = (typeof CALLS)[number];

/** What failed, as plain data: an error does not pass from one tab to another with its class. */
export interface Failure {
  readonly message: string;
  /** Of a ProblemError. */
  readonly problem?: Problem;
}

/** One event of the chat. */
export type TabEvent = {
  [K in keyof ChatEvents]: { readonly name: K; readonly what: ChatEvents[K] };
}[keyof ChatEvents];

/** What tabs say to each other. `leader` changes with each tab that leads. */
export type TabMessage =
  /** A tab has come, or a leader is missing: who leads answers with `lead`. */
  | { readonly kind: 'who' }
  | {
      readonly kind: 'lead';
      readonly leader: string;
      readonly user: string;
      readonly device: string;
      readonly state: ChatState;
    }
  | { readonly kind: 'event'; readonly leader: string; readonly event: TabEvent }
  | { readonly kind: 'call'; readonly id: string; readonly call: Call; readonly given: readonly unknown[] }
  | { readonly kind: 'typing'; readonly conversation: string }
  | { readonly kind: 'answer'; readonly id: string; readonly result?: unknown; readonly failure?: Failure };

/** A channel of tabs, as the messages on it are. */
export interface TabTalk {
  send(message: TabMessage): void;
  on(listener: (message: TabMessage) => void): () => void;
}
