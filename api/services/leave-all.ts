import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import { listMemberships } from '../../store/device/account.ts';
import type { Leave } from './leave.ts';
import type { Origin } from './operations.ts';

/** Conversations that are left at once. */
const PARALLEL = 8;
/** The caller is out of these already, or they take no more writes. */
const NOTHING_TO_LEAVE: readonly string[] = ['removed', 'not-found', 'superseded'];

/** Has the caller leave every conversation. @throws AppError of the first that refused it, after all others were left */
export type LeaveAll = (origin: Origin, operationId: () => string) => Promise<void>;

/** Leaves as `leave` does, some conversations at a time. */
export function makeLeaveAll(pool: pg.Pool, leave: Leave): LeaveAll {
  return async (origin, operationId) => {
    let refusal: AppError | undefined;
    const leaveOne = async (id: string): Promise<void> => {
      try {
        await leave(id as ConversationId, {}, origin, operationId);
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        if (NOTHING_TO_LEAVE.includes(error.code)) return;
        if (error.code !== 'not-allowed') throw error;
        const detail = 'You are the last admin of a conversation that wants one';
        refusal ??= new AppError('not-allowed', detail, { conversation: id });
      }
    };
    for (let after = ''; ;) {
      const ids = await listMemberships(pool, origin.caller.user, after, PARALLEL);
      if (Date.now() >= origin.deadline) throw new AppError('deadline', 'Not all conversations were left: ask again');
      await Promise.all(ids.map(leaveOne));
      const last = ids.at(-1);
      if (last === undefined) break;
      after = last;
    }
    if (refusal !== undefined) throw refusal;
  };
}
