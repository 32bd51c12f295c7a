import { hash } from 'node:crypto';
import type { ResetCommand } from '../../domain/command.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { ReportCount } from '../../domain/outcome.ts';
import type { ConversationCache } from './conversation-cache.ts';
import { refuseShortGroupId } from './group-id.ts';
import type { Operations, Origin } from './operations.ts';

/** A report: the device of a member cannot process the entry `seq`. */
export interface ReportInput {
  readonly seq: number;
  /** Epoch of the device. */
  readonly epoch: number;
  readonly reason: string;
  readonly epochAuthenticator?: Buffer | undefined;
}

/** Repair of a group that is stuck: reports open a reset, and a reset replaces the conversation with a new one. */
export interface Repair {
  readonly report: (
    id: ConversationId,
    report: ReportInput,
    origin: Origin,
    operationId: () => string,
  ) => Promise<ReportCount>;
  /** @returns `isNew` = this request did the reset, and not an earlier one */
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
      try {
        if (conversation.protocol === 'mls') refuseShortGroupId(successor);
      } catch (error) {
        const earlier = await operations.answerOrRefuse(id, command, origin, error);
        return { isNew: earlier.status === 'accepted' };
      }
      const { status } = await operations.decide(id, command, origin);
      return { isNew: status === 'accepted' };
    },
  };
}

/** The id of the command comes from its content, so that the same reset by the same user is a retry. */
function resetCommand(id: ConversationId, successor: ConversationId, actor: string): ResetCommand {
  const digest = hash('sha256', JSON.stringify([id, successor, actor]), 'hex');
  return { kind: 'reset', id: `reset-${digest}`, actor, successor };
}
