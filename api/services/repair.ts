import { hash } from 'node:crypto';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import { MIN_MLS_GROUP_ID_BYTES } from '../../domain/limits.ts';
import type { ResetOperation } from '../../domain/operation.ts';
import type { KnownConversations } from './known-conversations.ts';
import type { Operate, Origin } from './operations.ts';

/** "I cannot process entry seq." */
export interface Report {
  readonly seq: number;
  /** Where the device stands. */
  readonly epoch: number;
  readonly reason: string;
  readonly epochAuthenticator?: Buffer | undefined;
}

/** The way out of a group that cannot go on: reports open a reset, a reset hands over to a new conversation. */
export interface Repair {
  readonly report: (
    id: ConversationId,
    report: Report,
    origin: Origin,
    operationId: () => string,
  ) => Promise<{ reports: number; needed: number; open: boolean }>;
  /** @returns `isNew` = done now, not by an earlier request */
  readonly reset: (id: ConversationId, successor: ConversationId, origin: Origin) => Promise<{ isNew: boolean }>;
}

export function makeRepair(known: KnownConversations, operate: Operate): Repair {
  return {
    report: async (id, { seq, epoch, reason, epochAuthenticator }, origin, operationId) => {
      const authenticator = epochAuthenticator?.toString('base64');
      const outcome = await operate.apply(
        id,
        {
          kind: 'report',
          id: operationId(),
          actor: origin.caller.user,
          size: Buffer.byteLength(reason) + (epochAuthenticator?.length ?? 0),
          seq,
          epoch,
          reason,
          ...(authenticator === undefined ? {} : { epochAuthenticator: authenticator }),
        },
        origin,
        { ciphertext: new Uint8Array() },
      );
      const { reports = 0, needed = 0, open = false } = outcome;
      return { reports, needed, open };
    },
    reset: async (id, successor, origin) => {
      const conversation = await known.find(id, origin.caller.user);
      const operation = resetOperation(id, successor, origin.caller.user);
      const isShort = Buffer.from(successor, 'base64url').length < MIN_MLS_GROUP_ID_BYTES;
      if (conversation.protocol === 'mls' && isShort) {
        const refusal = new AppError(
          'malformed',
          `The id of an MLS group has at least ${MIN_MLS_GROUP_ID_BYTES} bytes`,
        );
        return { isNew: (await operate.refuse(id, operation, origin, refusal)).status === 'accepted' };
      }
      return { isNew: (await operate.apply(id, operation, origin)).status === 'accepted' };
    },
  };
}

/** Its id comes from what it asks for, so that the same user's same reset again is a retry. */
function resetOperation(id: ConversationId, successor: ConversationId, actor: string): ResetOperation {
  const digest = hash('sha256', JSON.stringify([id, successor, actor]), 'hex');
  return { kind: 'reset', id: `reset-${digest}`, actor, successor };
}
