import { signal } from '@preact/signals';
import type { Chat, ParleyClient } from '../../client/index.ts';
import type { AppConfig } from '../control/index.ts';

/** A person at a device, and their chat. */
export interface Session {
  readonly user: string;
  readonly device: string;
  readonly chat: Chat;
  readonly config: AppConfig;
  /** For what the chat has no call for. */
  readonly api: ParleyClient;
  /** With the scope of operators, from the control server; absent: nobody gives one. */
  readonly operatorToken?: () => Promise<string>;
}

/** The session of this window; absent: nobody has signed in yet. */
export const session = signal<Session | undefined>(undefined);
/** The conversation that is open in this window. Both panes show it. */
export const openConversation = signal<string | undefined>(undefined);
