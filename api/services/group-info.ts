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

/** What the GroupInfo of a conversation says, as far as the service looks at it. */
export interface GroupInfoFacts {
  readonly epoch?: number;
  /** Users of the leaves, if it holds a tree that is not too large. */
  readonly usersInTree?: readonly string[];
}

/**
 * Parses a GroupInfo and checks it against its own tree; nothing in `opaque` conversations.
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
  /** Takes one for the current epoch; the first one stays. @throws AppError as the checks and the decision refuse it */
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
            ? // Its bytes name no epoch: it is for the current one.
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
