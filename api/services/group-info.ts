import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Accepted, Duplicate, GroupInfoOperation } from '../../domain/operation.ts';
import { readGroupInfo } from '../../store/group-info/group-info.ts';
import { checkTree, readTree } from '../../mls/group-info.ts';
import { parseGroupInfo } from '../../mls/framing.ts';
import type { Known, KnownConversations } from './known-conversations.ts';
import type { Operate, Origin } from './operations.ts';

/** What the GroupInfo of a conversation says, as far as it is looked at. */
export interface GroupInfoFacts {
  readonly epoch?: number;
  /** Users of the leaves, if it holds a tree that is not too large. */
  readonly leaves?: readonly string[];
}

/**
 * Parses a GroupInfo and checks it against its own tree; nothing in `opaque` conversations.
 * @throws AppError `malformed`, `wrong-group`, `group-info-mismatch`, `membership-mismatch`, `epoch-ahead`
 */
export async function inspectGroupInfo(
  conversation: Known,
  bytes: Buffer,
  maxTreeBytes: number,
): Promise<GroupInfoFacts> {
  const frame = parseGroupInfo(conversation, bytes);
  if (frame === undefined) return {};
  const leaves = readTree(frame, maxTreeBytes);
  if (leaves === undefined) return { epoch: frame.epoch };
  return { epoch: frame.epoch, leaves: (await checkTree(frame, leaves)).users };
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
  ) => Promise<Accepted | Duplicate>;
}

export function makeGroupInfos(deps: {
  readonly pool: pg.Pool;
  readonly known: KnownConversations;
  readonly operate: Operate;
  readonly treeCheckMaxBytes: number;
}): GroupInfos {
  const { pool, known, operate } = deps;
  return {
    read: async (id, user) => {
      const view = await readGroupInfo(pool, id, user);
      if (view === undefined) throw new AppError('not-found');
      if (view.leftSeq !== null) throw new AppError('removed', undefined, { seq: view.leftSeq });
      if (view.groupInfo === null) throw new AppError('group-info-missing');
      return { epoch: view.epoch, groupInfo: view.groupInfo };
    },
    supply: async (id, groupInfo, origin, operationId) => {
      const conversation = await known.find(id, origin.caller.user);
      let operation: GroupInfoOperation;
      try {
        const facts =
          conversation.protocol === 'opaque'
            ? // Its bytes name no epoch: it is for the one that stands.
              { epoch: (await known.view(id, origin.caller.user)).epoch }
            : await inspectGroupInfo(conversation, groupInfo, deps.treeCheckMaxBytes);
        const size = groupInfo.length;
        operation = { kind: 'group-info', id: operationId(), actor: origin.caller.user, size, ...facts };
      } catch (error) {
        return operate.refuse(id, undefined, origin, error);
      }
      return operate.apply(id, operation, origin, { ciphertext: new Uint8Array(), groupInfo });
    },
  };
}
