import { hash } from 'node:crypto';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Accepted, Duplicate, LeaveOperation } from '../../domain/operation.ts';
import { checkLeaving } from '../../mls/framing.ts';
import type { KnownConversations } from './known-conversations.ts';
import type { Operate, Origin } from './operations.ts';
import type { CheckProposer } from './proposer.ts';

/** What goes with leaving. */
export interface Leaving {
  readonly proposal?: Buffer | undefined;
  readonly epoch?: number | undefined;
  readonly id?: string | undefined;
}

export type Leave = (
  conversation: ConversationId,
  leaving: Leaving,
  origin: Origin,
  operationId: () => string,
) => Promise<Accepted | Duplicate>;

/** Has the caller leave, with its own Remove proposal if it sent one. */
export function makeLeave({
  known,
  operate,
  checkProposer,
}: {
  readonly known: KnownConversations;
  readonly operate: Operate;
  readonly checkProposer: CheckProposer;
}): Leave {
  return async (id, { proposal, epoch, id: ownId }, origin, operationId) => {
    const base = { kind: 'leave', actor: origin.caller.user } as const;
    if (proposal === undefined) {
      return operate.apply(id, { ...base, id: ownId ?? operationId(), size: 0 }, origin);
    }
    const conversation = await known.find(id, origin.caller.user);
    let operation: LeaveOperation | undefined;
    try {
      const { framing, proposal: shown } = checkLeaving(conversation, proposal, epoch);
      const sha256 = hash('sha256', proposal, 'hex');
      // From its bytes, so that the same proposal again is a retry.
      operation = { ...base, ...framing, id: ownId ?? `leave-${sha256}`, sha256, size: proposal.length };
      if (shown !== undefined) await checkProposer(id, { framing, proposal: shown }, origin.caller.user);
    } catch (error) {
      return operate.refuse(id, operation, origin, error);
    }
    return operate.apply(id, operation, origin, { ciphertext: proposal });
  };
}

/** Nobody can commit their own removal in MLS. @throws AppError `malformed` */
export function refuseOwnCommit(body: { readonly commit?: unknown; readonly groupInfo?: unknown }): void {
  if (body.commit === undefined && body.groupInfo === undefined) return;
  throw new AppError('malformed', 'Nobody can commit the own removal: to leave, send a proposal or nothing');
}
