import type { ActionName } from './parts.ts';
import { postControl } from './refused.ts';

/**
 * Asks the control server to do something to the stack. It answers when the action has begun; `followControl` tells how it goes on.
 * @param conversation of `terminate-workflow`
 * @throws ControlRefusedError, for example if another action runs
 */
export async function act(control: string, what: ActionName, conversation?: string): Promise<void> {
  await postControl(control, '/actions', { what, ...(conversation === undefined ? {} : { conversation }) });
}
