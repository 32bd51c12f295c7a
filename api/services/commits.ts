import { hash } from 'node:crypto';
import type pg from 'pg';
import type { CommandBytes, CommitCommand, MembershipChange } from '../../domain/command.ts';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Accepted } from '../../domain/outcome.ts';
import { type Bundle, checkBundle, parseBundle } from '../../mls/bundle.ts';
import { checkAgainstTree } from '../../mls/commit-against-tree.ts';
import { checkExternalCommit } from '../../mls/external-commit.ts';
import { type CommitFrame, checkCommit } from '../../mls/framing.ts';
import { storedTree } from '../../mls/tree.ts';
import { readCurrentGroupInfo } from '../../store/group-info/group-info.ts';
import type { ConversationCache, ConversationRef } from './conversation-cache.ts';
import type { Operations, Origin } from './operations.ts';

/** A group change from a request. */
export interface GroupChange {
  readonly commit?: Buffer | undefined;
  readonly welcome?: Buffer | undefined;
  readonly groupInfo?: Buffer | undefined;
  readonly epoch?: number | undefined;
  readonly id?: string | undefined;
  readonly adds?: readonly string[];
  readonly removes?: readonly string[];
  /** External commits are accepted too. If the policy allows it, their sender need not be a member. */
  readonly mayJoin?: boolean;
}

/** Checks the parts of a commit bundle against each other, then submits the commit for its decision. */
export type ApplyCommit = (
  conversation: ConversationId,
  change: GroupChange,
  origin: Origin,
  operationId: () => string,
) => Promise<Accepted<'commit'>>;

export interface CommitDeps {
  readonly conversations: ConversationCache;
  readonly operations: Operations;
  readonly pool: pg.Pool;
  /** Ratchet trees up to this size in bytes are checked. */
  readonly treeCheckMaxBytes: number;
}

export function makeApplyCommit(deps: CommitDeps): ApplyCommit {
  const { conversations, operations, treeCheckMaxBytes } = deps;
  return async (id, change, origin, operationId) => {
    const { user } = origin.caller;
    const conversation = await (change.mayJoin === true
      ? conversations.findToJoin(id, user)
      : conversations.find(id, user));
    let command: CommitCommand | undefined;
    try {
      const parsed = commitCommand(conversation, change, origin, operationId);
      command = parsed.command;
      if (parsed.frame !== undefined) {
        const bundle = parseBundle(conversation, parsed.frame, change, treeCheckMaxBytes);
        const { epoch = 0 } = command;
        const facts = await checkBundle(bundle, change, { epoch, user });
        const removals = await checkAgainstGroup(deps, id, bundle, change, { epoch, user });
        command = { ...command, ...facts, ...removals };
      }
    } catch (error) {
      return operations.answerOrRefuse(id, command, origin, error);
    }
    return operations.decide(id, command, origin);
  };
}

/**
 * Checks a PublicMessage against the ratchet tree of the epoch that it ends. This tree does not change while the epoch is
 * current. A commit for an earlier epoch is not checked, because the deciding transaction repeats its answer or names the
 * winner.
 * @throws AppError `identity-mismatch`, `group-info-mismatch`, `membership-mismatch`, `group-info-missing`, or `epoch-ahead`
 * without the current epoch
 */
async function checkAgainstGroup(
  { pool, treeCheckMaxBytes }: CommitDeps,
  id: ConversationId,
  bundle: Bundle,
  change: GroupChange,
  { epoch, user }: { readonly epoch: number; readonly user: string },
): Promise<MembershipChange> {
  const { commit, external } = bundle;
  if (commit === undefined || (external === undefined && treeCheckMaxBytes === 0)) return {};
  const current = await readCurrentGroupInfo(pool, id);
  if (current === undefined || epoch < current.epoch) return {};
  if (epoch > current.epoch) {
    // This epoch may be the current one at the time of the decision. Then nobody would have checked the sender.
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

function commitCommand(
  conversation: ConversationRef,
  change: GroupChange,
  { caller }: Origin,
  operationId: () => string,
): { readonly command: CommitCommand; readonly frame?: CommitFrame | undefined } {
  const { commit, epoch, id, adds, removes, mayJoin } = change;
  const bytes = bytesOf(change);
  const common = {
    kind: 'commit',
    actor: caller.user,
    ...(adds === undefined || adds.length === 0 ? {} : { adds }),
    ...(removes === undefined || removes.length === 0 ? {} : { removes }),
    ...(bytes === undefined ? {} : { bytes }),
  } as const;
  // In `opaque` this is an add or remove without a commit. In `mls` the deciding transaction refuses it: `commit-required`.
  if (commit === undefined) {
    return { command: { ...common, ...statedEpoch(conversation, epoch), id: id ?? operationId() } };
  }
  const sha256 = hash('sha256', commit, 'hex');
  const { framing, frame } = checkCommit(conversation, commit, epoch);
  const ownId = conversation.protocol === 'mls' ? `commit-${sha256}` : operationId();
  const external = frame?.wireFormat === 'public_message' && frame.sender.type === 'new_member_commit';
  if (external && mayJoin !== true) {
    throw new AppError('wrong-content-type', 'Send an external commit to the commits route of the conversation');
  }
  const command = { ...common, ...framing, ...(external ? { external } : {}), id: id ?? ownId, sha256 };
  return { command, frame };
}

function statedEpoch(conversation: ConversationRef, epoch: number | undefined): { epoch?: number } {
  // In `mls` the bytes of the commit contain the epoch.
  if (conversation.protocol === 'mls') return {};
  return checkCommit(conversation, Buffer.alloc(0), epoch).framing;
}

function bytesOf({ commit, welcome, groupInfo }: GroupChange): CommandBytes | undefined {
  if (commit === undefined && welcome === undefined && groupInfo === undefined) return undefined;
  return { ciphertext: commit ?? new Uint8Array(), welcome, groupInfo };
}
