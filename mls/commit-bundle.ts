import { AppError } from '../domain/errors.ts';
import { type Bundle, type BundleFacts, type BundleParts, checkBundle, parseBundle } from './bundle.ts';
import { type CheckedCommit, type CommitFacts, checkCommitAgainst } from './commit-against-tree.ts';
import type { PublicCommit } from './external-commit.ts';
import { type Framing, checkCommit } from './framing.ts';
import { type Lack, checkGroupInfo } from './group-info.ts';
import { type LeafChanges, leafChanges } from './leaf-changes.ts';
import type { LeafBatch } from './leaf-signatures.ts';
import { type GroupState, type StoredGroup, readStoredGroup } from './stored-group.ts';
import { withSelfRemoves } from './references.ts';
import { treeBytes } from './tree.ts';
import { type RatchetTree, encodeRatchetTree } from './tree/ratchet-tree.ts';
import { rootHash, treeHashes } from './tree/tree-hash.ts';
import { asBuffer } from './vector.ts';

/** A commit bundle as a request brings it, and the group that it is for. Plain data: it travels to worker threads. */
export interface CommitBundleInput extends BundleParts {
  readonly groupId: Uint8Array;
  /** The caller. */
  readonly user: string;
  readonly commit: Uint8Array;
  /** The epoch that the request names. */
  readonly statedEpoch?: number | undefined;
  /** Current epoch of the conversation. Absent = there is no such conversation. */
  readonly currentEpoch?: number | undefined;
  /** The group in this epoch. Absent = nobody supplied a GroupInfo. */
  readonly stored?: StoredGroup | undefined;
  /** Public proposals of this epoch, for an external commit that refers to some. @default none */
  readonly proposals?: readonly Uint8Array[] | undefined;
  /** The service reads ratchet trees up to this size. 0 = it reads none, except for external commits. */
  readonly maxTreeBytes: number;
  /** Leaf signatures to verify at once. The result names the rest. @default all */
  readonly maxLeafSignatures?: number;
}

/** What the service found out about a commit bundle. */
export interface CommitBundleFacts extends BundleFacts, LeafChanges, Omit<CommitFacts, 'isVerified'> {
  /** The name of the caller's leaf that signed the GroupInfo. */
  readonly signerLeaf?: string;
  readonly usersInTree?: readonly string[];
  /** What the GroupInfo lacks. */
  readonly lacks?: readonly Lack[];
  /** The service has checked the GroupInfo and its whole tree. */
  readonly isGroupInfoChecked?: true;
  /** The context in the GroupInfo follows from a proven one by this commit. */
  readonly isContextProven?: true;
  /** Only for a public commit: whether the service could verify all that it can read. */
  readonly isVerified?: boolean;
  /** The ratchet tree after the commit, encoded, where the GroupInfo has none. */
  readonly computedTree?: Uint8Array;
}

/** A refusal after the framing of the commit was read. The caller looks up an earlier answer first. */
export interface BundleRefusal {
  readonly code: AppError['code'];
  readonly detail: string;
  readonly details: AppError['details'];
}

export interface CommitBundleResult {
  readonly framing: Framing;
  /** An external commit (RFC 9420 §12.4.3.2). */
  readonly isExternal: boolean;
  readonly outcome: { readonly facts: CommitBundleFacts } | { readonly refusal: BundleRefusal };
  /** The facts hold only if the signatures of these leaves are valid. Absent = none is left to verify. */
  readonly leavesToVerify?: readonly LeafBatch[];
}

/**
 * Checks a commit bundle of an `mls` conversation. Nothing here needs a secret of the group.
 * @throws AppError if the bytes of the commit have no framing of this group: `malformed`, `wrong-group`,
 * `wrong-content-type`, `epoch-ahead`
 */
export function checkCommitBundle(input: CommitBundleInput): CommitBundleResult {
  const group = { protocol: 'mls', groupId: asBuffer(input.groupId) } as const;
  const { framing, frame } = checkCommit(group, asBuffer(input.commit), input.statedEpoch);
  const isExternal = frame?.wireFormat === 'public_message' && frame.sender.type === 'new_member_commit';
  if (frame === undefined) return { framing, isExternal, outcome: { facts: {} } };
  try {
    const bundle = parseBundle(group, frame, input, input.maxTreeBytes);
    const { leavesToVerify, ...facts } = factsOf(bundle, framing.epoch ?? 0, input);
    return { framing, isExternal, outcome: { facts }, ...(leavesToVerify === undefined ? {} : { leavesToVerify }) };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const { code, message: detail, details } = error;
    return { framing, isExternal, outcome: { refusal: { code, detail, details } } };
  }
}

function factsOf(
  bundle: Bundle,
  epoch: number,
  input: CommitBundleInput,
): CommitBundleFacts & Pick<CommitBundleResult, 'leavesToVerify'> {
  const { user, currentEpoch, maxTreeBytes, maxLeafSignatures } = input;
  const { commit, external, groupInfo } = bundle;
  const facts = checkBundle(bundle, input, { epoch, user });
  if (external === undefined && maxTreeBytes === 0) return facts;
  // Such a commit repeats its answer, or has lost its epoch. The rest of its bundle says nothing new.
  if (currentEpoch !== undefined && epoch < currentEpoch) return facts;
  if (commit !== undefined && currentEpoch !== undefined && epoch > currentEpoch) {
    // This epoch may be the current one at the time of the decision. Then nobody would have checked the sender.
    throw new AppError('epoch-ahead', undefined, { submittedEpoch: epoch });
  }
  // Of a commit that nobody can read, alone, the group tells nothing. Its tree may have megabytes.
  if (commit === undefined && groupInfo === undefined) return facts;
  const state = stateOf(input, epoch, external === undefined ? maxTreeBytes : Infinity);
  if (external !== undefined && state === undefined && currentEpoch !== undefined) {
    throw new AppError('group-info-missing', 'An external commit needs a GroupInfo with the ratchet tree');
  }
  const checked =
    commit === undefined || state === undefined
      ? undefined
      : checkCommitAgainst(state, resolved(commit, bundle, state, input), bundle, input);
  if (groupInfo === undefined) {
    const next = checked?.nextTree;
    const { droppedUsers } =
      next === undefined || state === undefined ? {} : leafChanges(state.tree.leaves, next.leaves, input.removes);
    return {
      ...facts,
      ...(commit === undefined ? {} : { isVerified: false }),
      ...checked?.facts,
      ...(droppedUsers === undefined ? {} : { droppedUsers }),
    };
  }
  const computed = computedTree(bundle, checked);
  const info = checkGroupInfo(groupInfo, { tree: bundle.tree ?? computed, user, known: state, maxLeafSignatures });
  const next = compareNext(bundle, state, checked);
  const tree = bundle.tree ?? computed;
  const isTreeChecked = info.cipherSuite !== undefined && tree !== undefined;
  return {
    ...facts,
    ...checked?.facts,
    ...(commit === undefined ? {} : { isVerified: checked?.facts.isVerified === true && next !== 'different' }),
    ...(info.usersInTree === undefined ? {} : { usersInTree: info.usersInTree }),
    ...(isTreeChecked && state !== undefined ? leafChanges(state.tree.leaves, tree.leaves, input.removes) : {}),
    ...(info.signerLeaf === undefined ? {} : { signerLeaf: info.signerLeaf }),
    ...(info.lacks === undefined ? {} : { lacks: info.lacks }),
    ...(info.leavesToVerify === undefined ? {} : { leavesToVerify: info.leavesToVerify }),
    ...(info.cipherSuite === undefined ? {} : { isGroupInfoChecked: true }),
    ...(info.cipherSuite !== undefined && next === 'proven' ? { isContextProven: true } : {}),
    ...(computed === undefined ? {} : { computedTree: encodeRatchetTree(computed) }),
  };
}

/** An external commit with what it refers to. The effect of a member's references stays unknown. */
function resolved(
  commit: PublicCommit,
  { external }: Bundle,
  state: GroupState,
  { proposals = [] }: CommitBundleInput,
): PublicCommit {
  return external === undefined ? commit : withSelfRemoves(commit, state, proposals);
}

function stateOf({ stored }: CommitBundleInput, epoch: number, maxTreeBytes: number): GroupState | undefined {
  return stored?.epoch === epoch ? readStoredGroup(stored, maxTreeBytes) : undefined;
}

/** The tree after the commit, if the GroupInfo leaves it out and has its tree hash. */
function computedTree({ groupInfo }: Bundle, checked: CheckedCommit | undefined): RatchetTree | undefined {
  const { nextTree, suite } = checked ?? {};
  if (groupInfo === undefined || nextTree === undefined || suite === undefined) return undefined;
  if (treeBytes(groupInfo) !== undefined) return undefined;
  return rootHash(nextTree, treeHashes(nextTree, suite)).equals(groupInfo.treeHash) ? nextTree : undefined;
}

/**
 * Compares the GroupContext in the GroupInfo with the one that the commit leads to: tree hash, transcript hash, epoch and
 * extensions.
 * @throws AppError `group-info-mismatch` if they differ, and the commit was checked against a state that binds it
 */
function compareNext(
  { external, groupInfo }: Bundle,
  state: GroupState | undefined,
  checked: CheckedCommit | undefined,
): 'proven' | 'same' | 'different' | 'unknown' {
  if (state === undefined || groupInfo === undefined || checked?.nextContext === undefined) return 'unknown';
  if (Buffer.compare(checked.nextContext, groupInfo.context) === 0) return state.isProven ? 'proven' : 'same';
  if (external === undefined && !state.isProven) return 'different';
  throw new AppError('group-info-mismatch', 'The GroupInfo is not the state after this commit');
}
