import type pg from 'pg';
import type { GroupChecks } from '../../compute/group-checks.ts';
import type { Jobs } from '../../compute/jobs.ts';
import type { GroupInfoCheck, GroupInfoCommand } from '../../domain/command.ts';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Accepted } from '../../domain/outcome.ts';
import type { SuppliedGroupInfo } from '../../mls/supplied-group-info.ts';
import { type EpochToAsk, offerTree, readEpochToAsk, readGroupInfo } from '../../store/group-info/group-info.ts';
import type { ConversationCache } from './conversation-cache.ts';
import type { GroupStates } from './group-states.ts';
import { type Operations, type Origin, ownerOf } from './operations.ts';

/** The GroupInfo of the current epoch. */
export interface GroupInfos {
  /** @throws AppError `not-found`, `removed`, `group-info-missing` */
  readonly read: (id: ConversationId, user: string) => Promise<{ epoch: number; groupInfo: Buffer }>;
  /** What somebody needs to ask to join (`externalJoin: request`). `undefined` = a member, or one who may not ask. */
  readonly readToAsk: (id: ConversationId, user: string) => Promise<EpochToAsk | undefined>;
  /**
   * Submits a GroupInfo for the current epoch. The first one stays, unless an admin replaces it.
   * @throws AppError from the byte checks or the decision
   */
  readonly supply: (
    id: ConversationId,
    groupInfo: Buffer,
    origin: Origin,
    operationId: () => string,
  ) => Promise<Accepted<'group-info'>>;
}

export function makeGroupInfos(deps: {
  readonly pool: pg.Pool;
  readonly jobs: Jobs;
  readonly groupChecks: GroupChecks;
  readonly conversations: ConversationCache;
  readonly groupStates: GroupStates;
  readonly operations: Operations;
  readonly treeCheckMaxBytes: number;
}): GroupInfos {
  const { pool, jobs, groupChecks, conversations, groupStates, operations, treeCheckMaxBytes: maxTreeBytes } = deps;
  return {
    read: async (id, user) => {
      const view = await readGroupInfo(pool, id, user);
      if (view === undefined) throw new AppError('not-found');
      if (view.leftSeq !== null) throw new AppError('removed', undefined, { seq: view.leftSeq });
      if (view.groupInfo === null) throw new AppError('group-info-missing');
      return { epoch: view.epoch, groupInfo: view.groupInfo };
    },
    readToAsk: (id, user) => readEpochToAsk(pool, id, user),
    supply: async (id, groupInfo, origin, operationId) => {
      const { user, device } = origin.caller;
      const conversation = await conversations.find(id, user);
      const common = { kind: 'group-info', actor: user, bytes: { ciphertext: new Uint8Array(), groupInfo } } as const;
      let command: GroupInfoCommand;
      try {
        if (conversation.protocol === 'opaque') {
          // The service does not read its bytes, so it is for the current epoch.
          const { epoch } = await conversations.view(id, user);
          command = { ...common, id: operationId(), epoch };
        } else {
          const { groupId } = conversation;
          const stored = (await groupStates.current(id, user))?.stored;
          const input = { groupId, user, groupInfo, stored, isNewGroup: false, maxTreeBytes };
          const facts = await groupChecks.groupInfo(ownerOf(origin), input);
          if (facts.computedTree !== undefined) {
            const sha256 = await jobs.run('sha256', ownerOf(origin), groupInfo);
            await offerTree(pool, id, { sha256, tree: facts.computedTree });
          }
          command = { ...common, id: operationId(), epoch: facts.epoch, ...usersIn(facts), ...checkOf(facts), device };
        }
      } catch (error) {
        return operations.answerOrRefuse<GroupInfoCommand>(id, undefined, origin, error);
      }
      return operations.decide(id, command, origin);
    },
  };
}

function usersIn({ usersInTree }: SuppliedGroupInfo): Pick<GroupInfoCommand, 'usersInTree'> {
  return usersInTree === undefined ? {} : { usersInTree };
}

function checkOf({ cipherSuite, lacks, isContextProven, computedTree, signerLeaf }: SuppliedGroupInfo): GroupInfoCheck {
  return {
    ...(cipherSuite === undefined ? {} : { cipherSuite, isGroupInfoChecked: true }),
    ...(lacks === undefined ? {} : { lacks }),
    ...(isContextProven === undefined ? {} : { isContextProven }),
    ...(signerLeaf === undefined ? {} : { signerLeaf }),
    ...(computedTree === undefined ? {} : { isTreeComputed: true }),
  };
}
