import { createHttp, openSharedChat, ParleyClient } from '../../client/index.ts';
import type { AppConfig } from '../control/index.ts';
import { tokenFor } from '../control/index.ts';
import { deviceName, deviceOptions } from './device-options.ts';
import { shareNetwork } from './network.ts';
import type { Session } from './session.ts';

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
    ...{ user, device, chat, config },
    api: new ParleyClient(createHttp({ baseUrl: location.origin, token, device, attempts: 2 })),
    ...(control === undefined ? {} : { operatorToken: tokenFor(control, { user, device, operator: true }) }),
  };
}
