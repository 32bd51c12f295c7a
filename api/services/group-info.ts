import type pg from 'pg';
import type { GroupInfoCommand } from '../../domain/command.ts';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Accepted } from '../../domain/outcome.ts';
import { parseGroupInfo } from '../../mls/framing.ts';
import type { Group } from '../../mls/group.ts';
import { checkTree, readTree } from '../../mls/group-info.ts';
import { readGroupInfo } from '../../store/group-info/group-info.ts';
import type { ConversationCache } from './conversation-cache.ts';
import type { Operations, Origin } from './operations.ts';

/** Facts that the service reads from a GroupInfo. */
export interface GroupInfoFacts {
  readonly epoch?: number;
  /** Users who have leaves in its ratchet tree. Absent if it has no tree, or a tree that is too large to check. */
  readonly usersInTree?: readonly string[];
}

/**
 * Parses a GroupInfo and checks it against its own ratchet tree. In `opaque` conversations the service does not read it.
 * @throws AppError `malformed`, `wrong-group`, `group-info-mismatch`, `membership-mismatch`, `epoch-ahead`
 */
export async function inspectGroupInfo(group: Group, bytes: Buffer, maxTreeBytes: number): Promise<GroupInfoFacts> {
  const frame = parseGroupInfo(group, bytes);
  if (frame === undefined) return {};
  const leaves = readTree(frame, maxTreeBytes);
  if (leaves === undefined) return { epoch: frame.epoch };
  return { epoch: frame.epoch, usersInTree: (await checkTree(frame, leaves)).users };
}

/** The GroupInfo of the current epoch. */
export interface GroupInfos {
  /** @throws AppError `not-found`, `removed`, `group-info-missing` */
  readonly read: (id: ConversationId, user: string) => Promise<{ epoch: number; groupInfo: Buffer }>;
  /** Submits a GroupInfo for the current epoch. The first one stays. @throws AppError from the byte checks or the decision */
  readonly supply: (
    id: ConversationId,
    groupInfo: Buffer,
    origin: Origin,
    operationId: () => string,
  ) => Promise<Accepted<'group-info'>>;
}

export function makeGroupInfos(deps: {
  readonly pool: pg.Pool;
  readonly conversations: ConversationCache;
  readonly operations: Operations;
  readonly treeCheckMaxBytes: number;
}): GroupInfos {
  const { pool, conversations, operations } = deps;
  return {
    read: async (id, user) => {
      const view = await readGroupInfo(pool, id, user);
      if (view === undefined) throw new AppError('not-found');
      if (view.leftSeq !== null) throw new AppError('removed', undefined, { seq: view.leftSeq });
      if (view.groupInfo === null) throw new AppError('group-info-missing');
      return { epoch: view.epoch, groupInfo: view.groupInfo };
    },
    supply: async (id, groupInfo, origin, operationId) => {
      const { user } = origin.caller;
      const conversation = await conversations.find(id, user);
      let command: GroupInfoCommand;
      try {
        const facts =
          conversation.protocol === 'opaque'
            ? // The service does not read its bytes, so it is for the current epoch.
              { epoch: (await conversations.view(id, user)).epoch }
            : await inspectGroupInfo(conversation, groupInfo, deps.treeCheckMaxBytes);
        const bytes = { ciphertext: new Uint8Array(), groupInfo };
        command = { kind: 'group-info', id: operationId(), actor: user, ...facts, bytes };
      } catch (error) {
        return operations.answerOrRefuse<GroupInfoCommand>(id, undefined, origin, error);
      }
      return operations.decide(id, command, origin);
    },
  };
}
