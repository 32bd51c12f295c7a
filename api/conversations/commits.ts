import { hash } from 'node:crypto';
import type { ConversationId } from '../../domain/ids.ts';
import type { Accepted, CommitOperation, Duplicate } from '../../domain/operation.ts';
import type { DraftBytes } from '../lane/draft.ts';
import { checkCommit, checkGroupInfo, checkWelcome } from './frames.ts';
import type { Known, KnownConversations } from './known.ts';
import type { Operate, Origin } from './operate.ts';

/** A change of the group as a request brings it. */
export interface GroupChange {
  readonly commit?: Buffer | undefined;
  readonly welcome?: Buffer | undefined;
  readonly groupInfo?: Buffer | undefined;
  readonly epoch?: number | undefined;
  readonly id?: string | undefined;
  readonly adds?: readonly string[];
  readonly removes?: readonly string[];
}

/** Checks the parts of a commit bundle against one another, and has it decided. */
export type ApplyCommit = (
  conversation: ConversationId,
  change: GroupChange,
  origin: Origin,
  operationId: () => string,
) => Promise<Accepted | Duplicate>;

export function makeApplyCommit(known: KnownConversations, operate: Operate): ApplyCommit {
  return async (id, change, origin, operationId) => {
    const conversation = await known.find(id, origin.caller.user);
    let operation: CommitOperation | undefined;
    try {
      operation = commitOperation(conversation, change, origin, operationId);
      checkParts(conversation, change, operation);
    } catch (error) {
      return operate.refuse(id, operation, origin, error);
    }
    return operate.apply(id, operation, origin, bytesOf(change));
  };
}

function commitOperation(
  conversation: Known,
  { commit, epoch, id, adds, removes }: GroupChange,
  { caller }: Origin,
  operationId: () => string,
): CommitOperation {
  const common = {
    kind: 'commit',
    actor: caller.user,
    ...(adds === undefined || adds.length === 0 ? {} : { adds }),
    ...(removes === undefined || removes.length === 0 ? {} : { removes }),
  } as const;
  // In `opaque` an add or remove by itself; in `mls` the deciding transaction asks for the commit.
  if (commit === undefined) {
    const stated = checkCommitless(conversation, epoch);
    return { ...common, ...stated, id: id ?? operationId(), size: 0 };
  }
  const sha256 = hash('sha256', commit, 'hex');
  const framing = checkCommit(conversation, commit, epoch);
  const ownId = conversation.protocol === 'mls' ? `commit-${sha256}` : operationId();
  return { ...common, ...framing, id: id ?? ownId, sha256, size: commit.length };
}

function checkCommitless(conversation: Known, epoch: number | undefined): { epoch?: number } {
  // Its bytes would have named the epoch.
  if (conversation.protocol === 'mls') return {};
  return checkCommit(conversation, Buffer.alloc(0), epoch);
}

function checkParts(
  conversation: Known,
  { welcome, groupInfo }: GroupChange,
  { sha256, epoch }: CommitOperation,
): void {
  if (sha256 === undefined) return;
  if (welcome !== undefined) checkWelcome(conversation, welcome);
  if (groupInfo !== undefined) checkGroupInfo(conversation, groupInfo, (epoch ?? 0) + 1);
}

function bytesOf({ commit, welcome, groupInfo }: GroupChange): DraftBytes | undefined {
  if (commit === undefined && welcome === undefined && groupInfo === undefined) return undefined;
  return { ciphertext: commit ?? Buffer.alloc(0), welcome, groupInfo };
}
