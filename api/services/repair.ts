import { hash } from 'node:crypto';
import type { ResetCommand } from '../../domain/command.ts';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import { MIN_MLS_GROUP_ID_BYTES } from '../../domain/limits.ts';
import type { ReportCount } from '../../domain/outcome.ts';
import type { ConversationCache } from './conversation-cache.ts';
import type { Operations, Origin } from './operations.ts';

/** "I cannot process entry seq." */
export interface ReportInput {
  readonly seq: number;
  /** Epoch of the device. */
  readonly epoch: number;
  readonly reason: string;
  readonly epochAuthenticator?: Buffer | undefined;
}

/** The way out of a group that cannot go on: reports open a reset, a reset hands over to a new conversation. */
export interface Repair {
  readonly report: (
    id: ConversationId,
    report: ReportInput,
    origin: Origin,
    operationId: () => string,
  ) => Promise<ReportCount>;
  /** @returns `isNew` = done now, not by an earlier request */
  readonly reset: (id: ConversationId, successor: ConversationId, origin: Origin) => Promise<{ isNew: boolean }>;
}

export function makeRepair(conversations: ConversationCache, operations: Operations): Repair {
  return {
    report: async (id, { seq, epoch, reason, epochAuthenticator }, origin, operationId) => {
      const authenticator = epochAuthenticator?.toString('base64');
      const { reports, needed, open } = await operations.decide(
        id,
        {
          kind: 'report',
          id: operationId(),
          actor: origin.caller.user,
          seq,
          epoch,
          reason,
          ...(authenticator === undefined ? {} : { epochAuthenticator: authenticator }),
        },
        origin,
      );
      return { reports, needed, open };
    },
    reset: async (id, successor, origin) => {
      const conversation = await conversations.find(id, origin.caller.user);
      const command = resetCommand(id, successor, origin.caller.user);
      const isShort = Buffer.from(successor, 'base64url').length < MIN_MLS_GROUP_ID_BYTES;
      const { status } =
        conversation.protocol === 'mls' && isShort
          ? await operations.answerOrRefuse(id, command, origin, new AppError('malformed', SHORT_ID))
          : await operations.decide(id, command, origin);
      return { isNew: status === 'accepted' };
    },
  };
}

const SHORT_ID = `The id of an MLS group has at least ${MIN_MLS_GROUP_ID_BYTES} bytes`;

/** Its id comes from what it asks for, so that the same reset again by the same user is a retry. */
function resetCommand(id: ConversationId, successor: ConversationId, actor: string): ResetCommand {
  const digest = hash('sha256', JSON.stringify([id, successor, actor]), 'hex');
  return { kind: 'reset', id: `reset-${digest}`, actor, successor };
}
