import { hash } from 'node:crypto';
import type { LeaveCommand } from '../../domain/command.ts';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Accepted } from '../../domain/outcome.ts';
import { type Position, statedPosition } from '../../domain/position.ts';
import { checkLeaving } from '../../mls/framing.ts';
import type { ConversationCache } from './conversation-cache.ts';
import { type Operations, type Origin, ownerOf } from './operations.ts';
import type { CheckProposer } from './proposer.ts';

/** The content of a request to leave. */
export interface LeaveInput {
  /** The caller's Remove proposal for its own leaf. */
  readonly proposal?: Buffer | undefined;
  readonly epoch?: number | undefined;
  readonly id?: string | undefined;
  readonly position?: Position | undefined;
}

export type Leave = (
  conversation: ConversationId,
  input: LeaveInput,
  origin: Origin,
  operationId: () => string,
) => Promise<Accepted<'leave'>>;

/** Makes the function that lets the caller leave, with its own Remove proposal if it sent one. */
export function makeLeave({
  conversations,
  operations,
  checkProposer,
}: {
  readonly conversations: ConversationCache;
  readonly operations: Operations;
  readonly checkProposer: CheckProposer;
}): Leave {
  return async (id, { proposal, epoch, id: ownId, position }, origin, operationId) => {
    const base = { kind: 'leave', actor: origin.caller.user, ...statedPosition(position) } as const;
    if (proposal === undefined) return operations.decide(id, { ...base, id: ownId ?? operationId() }, origin);
    const conversation = await conversations.find(id, origin.caller.user);
    let command: LeaveCommand | undefined;
    try {
      const { framing, proposal: shown } = checkLeaving(conversation, proposal, epoch);
      const sha256 = hash('sha256', proposal, 'hex');
      // The id comes from the bytes, so that sending the same proposal again is a retry.
      const commandId = ownId ?? `leave-${sha256}`;
      command = { ...base, ...framing, id: commandId, sha256, bytes: { ciphertext: proposal } };
      if (shown !== undefined) {
        const isVerified = await checkProposer(id, { framing, proposal: shown }, ownerOf(origin));
        if (isVerified !== undefined) command = { ...command, isVerified };
      }
    } catch (error) {
      return operations.answerOrRefuse(id, command, origin, error);
    }
    return operations.decide(id, command, origin);
  };
}

/** Refuses a commit from a member who leaves (RFC 9420 §12.4). @throws AppError `malformed` */
export function refuseOwnCommit(body: { readonly commit?: unknown; readonly groupInfo?: unknown }): void {
  if (body.commit === undefined && body.groupInfo === undefined) return;
  throw new AppError('malformed', 'A member cannot commit its own removal: to leave, send a proposal or no body');
}
