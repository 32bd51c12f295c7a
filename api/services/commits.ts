import type pg from 'pg';
import type { GroupChecks } from '../../compute/group-checks.ts';
import type { Jobs } from '../../compute/jobs.ts';
import type { CommandBytes, CommitCommand, MembershipChange } from '../../domain/command.ts';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import { MAX_REFERENCED_PROPOSALS } from '../../domain/limits.ts';
import type { Accepted } from '../../domain/outcome.ts';
import { type Position, statedPosition } from '../../domain/position.ts';
import type { BundleRefusal, CommitBundleFacts, CommitBundleResult } from '../../mls/commit-bundle.ts';
import { groupOfPublicCommit, senderOfPublicMessage } from '../../mls/frame.ts';
import { checkCommit } from '../../mls/framing.ts';
import { offerTree } from '../../store/group-info/group-info.ts';
import { readPublicProposals } from '../../store/log/entries.ts';
import type { ConversationCache, ConversationRef } from './conversation-cache.ts';
import type { GroupStates } from './group-states.ts';
import { type Operations, type Origin, ownerOf } from './operations.ts';

/** A group change from a request. */
export interface GroupChange {
  readonly commit?: Buffer | undefined;
  readonly welcome?: Buffer | undefined;
  readonly groupInfo?: Buffer | undefined;
  readonly epoch?: number | undefined;
  readonly id?: string | undefined;
  /** How far the sender has read. */
  readonly position?: Position | undefined;
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
  readonly groupChecks: GroupChecks;
  readonly operations: Operations;
  readonly pool: pg.Pool;
  /** Ratchet trees up to this size in bytes are checked. */
  readonly treeCheckMaxBytes: number;
}

export function makeApplyCommit(deps: CommitDeps): ApplyCommit {
  const { conversations, operations, jobs } = deps;
  return async (id, change, origin, operationId) => {
    const { user } = origin.caller;
    const conversation = await (change.mayJoin === true
      ? conversations.findToJoin(id, user)
      : conversations.find(id, user));
    const sha256 = (bytes: Buffer): Promise<Buffer> => jobs.run('sha256', ownerOf(origin), bytes);
    let command: CommitCommand | undefined;
    try {
      const digest = change.commit === undefined ? undefined : (await sha256(change.commit)).toString('hex');
      if (conversation.protocol === 'opaque' || change.commit === undefined || digest === undefined) {
        command = unreadCommand(conversation, { ...change, digest }, origin, operationId);
      } else {
        const bundle = { ...change, commit: change.commit, digest };
        const { framing, isExternal, outcome } = await checkBundle(deps, conversation, bundle, origin);
        command = mlsCommand(bundle, { framing, isExternal }, origin);
        if ('refusal' in outcome) throw refusalOf(outcome.refusal);
        command = { ...command, ...(await offered(deps.pool, id, sha256, { ...bundle, facts: outcome.facts })) };
      }
    } catch (error) {
      return operations.answerOrRefuse(id, command, origin, error);
    }
    return operations.decide(id, command, origin);
  };
}

/** A change of a group with a commit. */
type CommitChange = GroupChange & { readonly commit: Buffer; readonly digest: string };

/** Checks a commit bundle against the group in its current epoch. @throws AppError if the commit has no framing of this group */
async function checkBundle(
  { pool, groupStates, groupChecks, treeCheckMaxBytes }: CommitDeps,
  { id, groupId }: ConversationRef,
  { commit, welcome, groupInfo, adds, removes, epoch }: CommitChange,
  origin: Origin,
): Promise<CommitBundleResult> {
  const { user } = origin.caller;
  const current = await groupStates.current(id, user);
  // Proposals of this epoch become more, and never less, until a commit ends it.
  const isExternal = senderOfPublicMessage(commit) === 'new_member_commit';
  const proposals = isExternal ? await readPublicProposals(pool, id, MAX_REFERENCED_PROPOSALS) : undefined;
  return groupChecks.commitBundle(ownerOf(origin), {
    groupId,
    user,
    commit,
    welcome,
    groupInfo,
    adds,
    removes,
    statedEpoch: epoch,
    currentEpoch: current?.epoch,
    // A private commit alone is compared with nothing, and the stored tree may have megabytes.
    stored: groupInfo !== undefined || groupOfPublicCommit(commit) !== undefined ? current?.stored : undefined,
    proposals,
    maxTreeBytes: treeCheckMaxBytes,
  });
}

/** The facts of a bundle for its command. A computed tree waits in the database, because it is no part of the request. */
async function offered(
  pool: pg.Pool,
  id: ConversationId,
  sha256: (bytes: Buffer) => Promise<Buffer>,
  { groupInfo, facts: { computedTree, ...facts } }: GroupChange & { readonly facts: CommitBundleFacts },
): Promise<MembershipChange> {
  if (computedTree === undefined || groupInfo === undefined) return facts;
  await offerTree(pool, id, { sha256: await sha256(groupInfo), tree: computedTree });
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
  const own = change.id ?? `commit-${change.digest}`;
  return {
    ...commonParts(change, caller),
    ...framing,
    ...(isExternal ? { external: true } : {}),
    id: own,
    sha256: change.digest,
  };
}

/**
 * A command whose bytes the service does not read. Without a commit it is an add or remove in `opaque`; in `mls` the deciding
 * transaction refuses it: `commit-required`.
 */
function unreadCommand(
  conversation: ConversationRef,
  change: GroupChange & { readonly digest: string | undefined },
  { caller }: Origin,
  operationId: () => string,
): CommitCommand {
  const { commit, digest, epoch, id } = change;
  // In `mls` the bytes of the commit contain the epoch.
  const framing =
    conversation.protocol === 'mls' ? {} : checkCommit(conversation, commit ?? Buffer.alloc(0), epoch).framing;
  const content = digest === undefined ? {} : { sha256: digest };
  return { ...commonParts(change, caller), ...framing, id: id ?? operationId(), ...content };
}

function commonParts(change: GroupChange, { user, device }: Origin['caller']): Omit<CommitCommand, 'id'> {
  const { adds, removes, position } = change;
  const bytes = bytesOf(change);
  return {
    kind: 'commit',
    actor: user,
    device,
    ...statedPosition(position),
    ...(adds === undefined || adds.length === 0 ? {} : { adds }),
    ...(removes === undefined || removes.length === 0 ? {} : { removes }),
    ...(bytes === undefined ? {} : { bytes }),
  };
}

function bytesOf({ commit, welcome, groupInfo }: GroupChange): CommandBytes | undefined {
  if (commit === undefined && welcome === undefined && groupInfo === undefined) return undefined;
  return { ciphertext: commit ?? new Uint8Array(), welcome, groupInfo };
}
