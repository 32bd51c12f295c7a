import { hash } from 'node:crypto';
import type pg from 'pg';
import type { Jobs } from '../../compute/jobs.ts';
import type { CommandBytes, CommitCommand, MembershipChange } from '../../domain/command.ts';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Accepted } from '../../domain/outcome.ts';
import type { BundleRefusal, CommitBundleFacts, CommitBundleResult } from '../../mls/commit-bundle.ts';
import { checkCommit } from '../../mls/framing.ts';
import { offerTree } from '../../store/group-info/group-info.ts';
import type { ConversationCache, ConversationRef } from './conversation-cache.ts';
import { sha256 } from './group-info.ts';
import type { GroupStates } from './group-states.ts';
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
  readonly groupStates: GroupStates;
  readonly jobs: Jobs;
  readonly operations: Operations;
  readonly pool: pg.Pool;
  /** Ratchet trees up to this size in bytes are checked. */
  readonly treeCheckMaxBytes: number;
}

export function makeApplyCommit(deps: CommitDeps): ApplyCommit {
  const { conversations, operations } = deps;
  return async (id, change, origin, operationId) => {
    const { user } = origin.caller;
    const conversation = await (change.mayJoin === true
      ? conversations.findToJoin(id, user)
      : conversations.find(id, user));
    let command: CommitCommand | undefined;
    try {
      if (conversation.protocol === 'opaque' || change.commit === undefined) {
        command = unreadCommand(conversation, change, origin, operationId);
      } else {
        const bundle = { ...change, commit: change.commit };
        const { framing, isExternal, outcome } = await checkBundle(deps, conversation, bundle, user);
        command = mlsCommand(bundle, { framing, isExternal }, origin);
        if ('refusal' in outcome) throw refusalOf(outcome.refusal);
        command = { ...command, ...(await offered(deps.pool, id, bundle, outcome.facts)) };
      }
    } catch (error) {
      return operations.answerOrRefuse(id, command, origin, error);
    }
    return operations.decide(id, command, origin);
  };
}

/** A change of a group with a commit. */
type CommitChange = GroupChange & { readonly commit: Buffer };

/** Checks a commit bundle against the group in its current epoch. @throws AppError if the commit has no framing of this group */
async function checkBundle(
  { groupStates, jobs, treeCheckMaxBytes }: CommitDeps,
  { id, groupId }: ConversationRef,
  { commit, welcome, groupInfo, adds, removes, epoch }: CommitChange,
  user: string,
): Promise<CommitBundleResult> {
  const current = await groupStates.current(id, user);
  return jobs.run('commit-bundle', user, {
    groupId,
    user,
    commit,
    welcome,
    groupInfo,
    adds,
    removes,
    statedEpoch: epoch,
    currentEpoch: current?.epoch,
    stored: current?.stored,
    maxTreeBytes: treeCheckMaxBytes,
  });
}

/** The facts of a bundle for its command. A computed tree waits in the database, because it is no part of the request. */
async function offered(
  pool: pg.Pool,
  id: ConversationId,
  { groupInfo }: GroupChange,
  { computedTree, ...facts }: CommitBundleFacts,
): Promise<MembershipChange> {
  if (computedTree === undefined || groupInfo === undefined) return facts;
  await offerTree(pool, id, { sha256: sha256(groupInfo), tree: computedTree });
  return { ...facts, isTreeComputed: true };
}

function refusalOf({ code, detail, details }: BundleRefusal): AppError {
  return new AppError(code, detail, details);
}

function mlsCommand(
  change: CommitChange,
  { framing, isExternal }: Pick<CommitBundleResult, 'framing' | 'isExternal'>,
  { caller }: Origin,
): CommitCommand {
  if (isExternal && change.mayJoin !== true) {
    throw new AppError('wrong-content-type', 'Send an external commit to the commits route of the conversation');
  }
  const digest = hash('sha256', change.commit, 'hex');
  const own = change.id ?? `commit-${digest}`;
  return {
    ...commonParts(change, caller.user),
    ...framing,
    ...(isExternal ? { external: true } : {}),
    id: own,
    sha256: digest,
  };
}

/**
 * A command whose bytes the service does not read. Without a commit it is an add or remove in `opaque`; in `mls` the deciding
 * transaction refuses it: `commit-required`.
 */
function unreadCommand(
  conversation: ConversationRef,
  change: GroupChange,
  { caller }: Origin,
  operationId: () => string,
): CommitCommand {
  const { commit, epoch, id } = change;
  // In `mls` the bytes of the commit contain the epoch.
  const framing =
    conversation.protocol === 'mls' ? {} : checkCommit(conversation, commit ?? Buffer.alloc(0), epoch).framing;
  const content = commit === undefined ? {} : { sha256: hash('sha256', commit, 'hex') };
  return { ...commonParts(change, caller.user), ...framing, id: id ?? operationId(), ...content };
}

function commonParts(change: GroupChange, actor: string): Omit<CommitCommand, 'id'> {
  const { adds, removes } = change;
  const bytes = bytesOf(change);
  return {
    kind: 'commit',
    actor,
    ...(adds === undefined || adds.length === 0 ? {} : { adds }),
    ...(removes === undefined || removes.length === 0 ? {} : { removes }),
    ...(bytes === undefined ? {} : { bytes }),
  };
}

function bytesOf({ commit, welcome, groupInfo }: GroupChange): CommandBytes | undefined {
  if (commit === undefined && welcome === undefined && groupInfo === undefined) return undefined;
  return { ciphertext: commit ?? new Uint8Array(), welcome, groupInfo };
}
