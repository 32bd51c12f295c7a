import type { Logger } from 'pino';
import type pg from 'pg';
import { eraseUser } from '../../store/device/account.ts';
import { beginErasure, continueErasure } from '../../store/device/erasure.ts';
import type { Notifier } from '../../store/log/notifications.ts';
import type { SeenDevices } from './seen-devices.ts';

/** Time that stays for the rest of the request, after conversations were left. */
const RESERVE_MS = 3000;

/**
 * Leaves every conversation of a user, whatever their policies say, and deletes what belongs to the user alone. What the
 * deadline does not leave time for the sweep does afterwards.
 * @param deadline milliseconds since 1970
 */
export type EraseUser = (user: string, deadline: number) => Promise<void>;

export function makeEraseUser(deps: {
  readonly pool: pg.Pool;
  readonly notifier: Pick<Notifier, 'device' | 'entry'>;
  readonly seen: SeenDevices;
  readonly log: Logger;
}): EraseUser {
  const { pool, notifier, seen, log } = deps;
  return async (user, deadline) => {
    await continueErasure(pool, await beginErasure(pool, user), {
      until: deadline - RESERVE_MS,
      limit: Infinity,
      onLeft: (conversation, { found, lastSeq, changed }) => {
        if (found) notifier.entry(conversation, lastSeq, changed);
      },
      onFailure: (conversation, err) => {
        log.warn({ err, conversation }, 'a conversation of an erased user could not be left yet');
      },
    });
    await seen.settled();
    for (const device of await eraseUser(pool, user)) {
      seen.forget({ user, device });
      notifier.device(user, device);
    }
  };
}
