import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { type ConversationId, parseConversationId } from '../../domain/ids.ts';
import { listMemberships } from '../../store/device/account.ts';
import type { Leave } from './leave.ts';
import type { Origin } from './operations.ts';

/** Number of conversations that are left at the same time. */
const PARALLEL = 8;
/** With these refusals there is nothing to leave: the caller is not a member, or the conversation takes no more writes. */
const NOTHING_TO_LEAVE: readonly string[] = ['removed', 'not-found', 'superseded'];

/** Leaves every conversation of the caller. @throws AppError of the first conversation that refused it, after all others were left */
export type LeaveAll = (origin: Origin, operationId: () => string) => Promise<void>;

export function makeLeaveAll(pool: pg.Pool, leave: Leave): LeaveAll {
  return async (origin, operationId) => {
    let refusal: AppError | undefined;
    const leaveOne = async (id: string): Promise<void> => {
      try {
        await leave(conversationId(id), {}, origin, operationId);
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        if (NOTHING_TO_LEAVE.includes(error.code)) return;
        if (error.code !== 'not-allowed') throw error;
        const detail = 'You are the last admin of a conversation that must keep an admin';
        refusal ??= new AppError('not-allowed', detail, { conversation: id });
      }
    };
    for (let after = ''; ;) {
      const ids = await listMemberships(pool, origin.caller.user, after, PARALLEL);
      if (Date.now() >= origin.deadline)
        throw new AppError('deadline', 'You have not left all conversations yet: send the request again');
      await Promise.all(ids.map(leaveOne));
      const last = ids.at(-1);
      if (last === undefined) break;
      after = last;
    }
    if (refusal !== undefined) throw refusal;
  };
}

/** Parses an id from the database. @throws Error if it is not valid, which would be a defect */
function conversationId(stored: string): ConversationId {
  const id = parseConversationId(stored);
  if (id === undefined) throw new Error('The database has a conversation whose id is not valid');
  return id;
}
