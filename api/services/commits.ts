import { hash } from 'node:crypto';
import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Accepted, CommitOperation, Duplicate } from '../../domain/operation.ts';
import { readCurrentGroupInfo } from '../../store/group-info/group-info.ts';
import type { DraftBytes } from '../../dispatch/command.ts';
import { checkExternalCommit } from '../../mls/external-commit.ts';
import { storedTree } from '../../mls/tree.ts';
import { type Bundle, checkBundle, parseBundle } from '../../mls/bundle.ts';
import { type RemovalFacts, checkAgainstTree } from '../../mls/commit-against-tree.ts';
import { type CommitFrame, checkCommit } from '../../mls/framing.ts';
import type { Known, KnownConversations } from './known-conversations.ts';
import type { Operate, Origin } from './operations.ts';

/** A change of the group as a request brings it. */
export interface GroupChange {
  readonly commit?: Buffer | undefined;
  readonly welcome?: Buffer | undefined;
  readonly groupInfo?: Buffer | undefined;
  readonly epoch?: number | undefined;
  readonly id?: string | undefined;
  readonly adds?: readonly string[];
  readonly removes?: readonly string[];
  /** Takes external commits, where they are allowed of outsiders too. */
  readonly mayJoin?: boolean;
}

/** Checks the parts of a commit bundle against one another, and has it decided. */
export type ApplyCommit = (
  conversation: ConversationId,
  change: GroupChange,
  origin: Origin,
  operationId: () => string,
) => Promise<Accepted | Duplicate>;

export interface CommitDeps {
  readonly known: KnownConversations;
  readonly operate: Operate;
  readonly pool: pg.Pool;
  /** Bytes of a ratchet tree up to which it is looked at. */
  readonly treeCheckMaxBytes: number;
}

export function makeApplyCommit(deps: CommitDeps): ApplyCommit {
  const { known, operate, treeCheckMaxBytes } = deps;
  return async (id, change, origin, operationId) => {
    const { user } = origin.caller;
    const conversation = await (change.mayJoin === true ? known.findToJoin(id, user) : known.find(id, user));
    let operation: CommitOperation | undefined;
    try {
      const parsed = commitOperation(conversation, change, origin, operationId);
      operation = parsed.operation;
      if (parsed.frame !== undefined) {
        const bundle = parseBundle(conversation, parsed.frame, change, treeCheckMaxBytes);
        const { epoch = 0 } = operation;
        const facts = await checkBundle(bundle, change, { epoch, user });
        const removals = await checkAgainstGroup(deps, id, bundle, change, { epoch, user });
        operation = { ...operation, ...facts, ...removals };
      }
    } catch (error) {
      return operate.refuse(id, operation, origin, error);
    }
    return operate.apply(id, operation, origin, bytesOf(change));
  };
}

/**
 * Holds a PublicMessage against the tree of the epoch that it ends. A commit that comes too late is let through: the
 * deciding transaction repeats its answer or names the winner. While the epoch stands its tree does, too.
 * @throws AppError `identity-mismatch`, `group-info-mismatch`, `membership-mismatch`, `group-info-missing`, or `epoch-ahead`
 * without the epoch
 */
async function checkAgainstGroup(
  { pool, treeCheckMaxBytes }: CommitDeps,
  id: ConversationId,
  bundle: Bundle,
  change: GroupChange,
  { epoch, user }: { readonly epoch: number; readonly user: string },
): Promise<RemovalFacts> {
  const { commit, external } = bundle;
  if (commit === undefined || (external === undefined && treeCheckMaxBytes === 0)) return {};
  const current = await readCurrentGroupInfo(pool, id);
  if (current === undefined || epoch < current.epoch) return {};
  if (epoch > current.epoch) {
    // By the time of the decision it might be the current one, and nobody would have looked at who sent it.
    throw new AppError('epoch-ahead', undefined, { submittedEpoch: epoch });
  }
  const stored = storedTree(current, epoch, external === undefined ? treeCheckMaxBytes : undefined);
  if (stored === undefined) {
    if (external === undefined) return {};
    throw new AppError('group-info-missing', 'An external commit needs a GroupInfo with the ratchet tree');
  }
  if (external !== undefined) await checkExternalCommit(external, stored, user);
  return checkAgainstTree(bundle, change, stored, user);
}

function commitOperation(
  conversation: Known,
  { commit, epoch, id, adds, removes, mayJoin }: GroupChange,
  { caller }: Origin,
  operationId: () => string,
): { readonly operation: CommitOperation; readonly frame?: CommitFrame | undefined } {
  const common = {
    kind: 'commit',
    actor: caller.user,
    ...(adds === undefined || adds.length === 0 ? {} : { adds }),
    ...(removes === undefined || removes.length === 0 ? {} : { removes }),
  } as const;
  // In `opaque` an add or remove by itself; in `mls` the deciding transaction asks for the commit.
  if (commit === undefined) {
    const stated = checkCommitless(conversation, epoch);
    return { operation: { ...common, ...stated, id: id ?? operationId(), size: 0 } };
  }
  const sha256 = hash('sha256', commit, 'hex');
  const { framing, frame } = checkCommit(conversation, commit, epoch);
  const ownId = conversation.protocol === 'mls' ? `commit-${sha256}` : operationId();
  const external = frame?.wireFormat === 'public_message' && frame.sender.type === 'new_member_commit';
  if (external && mayJoin !== true) {
    throw new AppError('wrong-content-type', 'An external commit goes to the commits of the conversation');
  }
  return {
    operation: {
      ...common,
      ...framing,
      ...(external ? { external } : {}),
      id: id ?? ownId,
      sha256,
      size: commit.length,
    },
    frame,
  };
}

function checkCommitless(conversation: Known, epoch: number | undefined): { epoch?: number } {
  // Its bytes would have named the epoch.
  if (conversation.protocol === 'mls') return {};
  return checkCommit(conversation, Buffer.alloc(0), epoch).framing;
}

function bytesOf({ commit, welcome, groupInfo }: GroupChange): DraftBytes | undefined {
  if (commit === undefined && welcome === undefined && groupInfo === undefined) return undefined;
  return { ciphertext: commit ?? Buffer.alloc(0), welcome, groupInfo };
}
