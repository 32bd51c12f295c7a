import { signal } from '@preact/signals';
import type { Chat } from '../../client/index.ts';
import { createHttp, openSharedChat, ParleyClient } from '../../client/index.ts';
import type { AppConfig } from '../control/index.ts';
import { tokenFor } from '../control/index.ts';
import { deviceName, deviceOptions } from './device-options.ts';
import { shareNetwork } from './network.ts';

/** A person at a device, and their chat. */
export interface Session {
  readonly user: string;
  readonly device: string;
  readonly chat: Chat;
  readonly config: AppConfig;
  /** For what the chat has no call for. */
  readonly api: ParleyClient;
  /** Of the person. It is in memory only. */
  readonly token: () => string | Promise<string>;
  /** With the scope of operators, from the control server; absent: nobody gives one. */
  readonly operatorToken?: () => Promise<string>;
}

/** The session of this window; absent: nobody has signed in yet. */
export const session = signal<Session | undefined>(undefined);
/** The conversation that is open in this window. Both panes show it. */
export const openConversation = signal<string | undefined>(undefined);

/**
 * Opens the chat of a device. Tabs with the same device share it.
 * @param pasted a token, where no control server gives one
 */
export async function openSession(
  { user, device }: { readonly user: string; readonly device: string },
  config: AppConfig,
  pasted?: string,
): Promise<Session> {
  const { control } = config;
  const token = control === undefined ? () => pasted ?? '' : tokenFor(control, { user, device });
  shareNetwork(deviceName({ user, device }));
  const chat = await openSharedChat(await deviceOptions({ user, device }, token));
  return {
    ...{ user, device, chat, config, token },
    api: new ParleyClient(createHttp({ baseUrl: location.origin, token, device, attempts: 2 })),
    ...(control === undefined ? {} : { operatorToken: tokenFor(control, { user, device, operator: true }) }),
  };
}
