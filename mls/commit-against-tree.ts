import { AppError } from '../domain/errors.ts';
import type { Bundle, BundleParts } from './bundle.ts';
import { type PublicCommit, checkJoiner, joiningIndex } from './external-commit.ts';
import { contextAfter } from './group-context.ts';
import { verifyLeaf } from './leaf-signatures.ts';
import { usersLosingLeaves } from './leaf-losses.ts';
import { verifySignatureNow } from './signature.ts';
import type { GroupState } from './stored-group.ts';
import type { Suite } from './suite.ts';
import { type Leaves, userOf } from './tree.ts';
import { type NextTree, isTreeKnownAfter, treeAfter } from './tree/next-tree.ts';
import type { RatchetTree } from './tree/ratchet-tree.ts';
import { rootHash, treeHashes } from './tree/tree-hash.ts';

/** What the service knows about a public commit, from the public state of the epoch that it ends. */
export interface CommitFacts {
  /** Users who lose some of their leaves, and keep others. */
  readonly usersLosingSomeLeaves?: readonly string[];
  /** Users who lose all of their leaves without a place in `removes`. */
  readonly usersLosingAllLeaves?: readonly string[];
  /** Users in `removes` who keep leaves. Only one with a pending removal may. */
  readonly usersKeepingLeaves?: readonly string[];
  /**
   * Signature, path and next state are right, and the context that they were checked against is proven. `false` = the
   * service could not prove that context, or could not read all proposals.
   */
  readonly isVerified: boolean;
}

/** A public commit after its checks. */
export interface CheckedCommit {
  readonly facts: CommitFacts;
  readonly suite: Suite | undefined;
  /** The ratchet tree after the commit. `undefined` = the service cannot compute it. */
  readonly nextTree: RatchetTree | undefined;
  /** The GroupContext after the commit, as far as the service can compute it. */
  readonly nextContext: Uint8Array | undefined;
}

/**
 * Checks a public commit against the public state of the epoch that it ends. The sender leaf belongs to the caller, every
 * removed leaf exists, the request names who loses all leaves. Then the content signature, the leaf signature and the
 * parent hash of the path, each always for an external commit, which was made from this very state. A commit of a member
 * is refused for them only where the state is proven: elsewhere the stored GroupInfo may be a lie of one member, which
 * must not become a veto over the honest commits of others.
 * @param user the caller
 * @throws AppError `identity-mismatch`, `group-info-mismatch`, `membership-mismatch`
 */
export function checkCommitAgainst(
  state: GroupState,
  commit: PublicCommit,
  { external, groupInfo }: Pick<Bundle, 'external' | 'groupInfo'>,
  { removes = [], user }: Pick<BundleParts, 'removes'> & { readonly user: string },
): CheckedCommit {
  const { info, suite, tree, isProven } = state;
  if (groupInfo !== undefined && groupInfo.cipherSuite !== info.cipherSuite) {
    throw new AppError('group-info-mismatch', 'The GroupInfo and the group use different cipher suites');
  }
  if (external !== undefined) checkJoiner(external, tree.leaves, user);
  else if (commit.sender.type === 'member') checkSender(tree.leaves, commit.sender.leafIndex, user);
  const losses = usersLosingLeaves(tree.leaves, commit, user);
  const isBinding = external !== undefined || isProven;
  if (isBinding) checkSignatures(state, commit);
  let next: NextTree | undefined;
  let isVerified = isProven;
  if (suite !== undefined && isTreeKnownAfter(commit)) {
    next = attempt(isBinding, () => treeAfter(tree, commit, suite));
  }
  if (suite === undefined || next === undefined) isVerified = false;
  if (isBinding && next?.isParentHashRight === false) {
    throw new AppError('group-info-mismatch', 'The parent hash of the new leaf is not right');
  }
  const nextContext =
    suite === undefined || next === undefined
      ? undefined
      : contextAfter(info, commit, { suite, treeHash: rootHash(next.tree, treeHashes(next.tree, suite)) });
  const facts = {
    ...namedLosses(losses, removes),
    ...(next === undefined ? {} : keptLeaves(next.tree.leaves, removes)),
    isVerified,
  };
  return { facts, suite, nextTree: next?.tree, nextContext };
}

/** Checks that the sender leaf belongs to the caller. @throws AppError `identity-mismatch` */
export function checkSender(leaves: Leaves, leafIndex: number, user: string): void {
  const sender = leaves[leafIndex];
  if (sender === undefined || userOf(sender) !== user) {
    throw new AppError('identity-mismatch', 'The sender leaf does not belong to you');
  }
}

/** Verifies the signatures of the new leaf and of the content. @throws AppError `identity-mismatch` */
function checkSignatures({ info, tree }: GroupState, commit: PublicCommit): void {
  const { cipherSuite, groupId, context } = info;
  const { path, sender, signed, signature } = commit;
  const signer = sender.type === 'member' ? tree.leaves[sender.leafIndex] : path;
  const publicKey = signer?.signatureKey ?? new Uint8Array();
  const leafIndex = sender.type === 'member' ? sender.leafIndex : joiningIndex(tree.leaves, commit);
  // An unknown cipher suite is refused too: without a verified signature, the owner of the leaf is not proven.
  if (path !== undefined && verifyLeaf(path, { cipherSuite, groupId, leafIndex }) !== 'valid') {
    throw new AppError('identity-mismatch', 'The signature of the leaf is not valid');
  }
  const content = Buffer.concat([signed, context]);
  if (verifySignatureNow('FramedContentTBS', { cipherSuite, publicKey, content, signature }) !== 'valid') {
    throw new AppError('identity-mismatch', 'The signature of the commit is not valid');
  }
}

/** A fault in the path of a commit that is not bound to the state is no refusal: the state may be wrong. */
function attempt<T>(isBinding: boolean, compute: () => T): T | undefined {
  try {
    return compute();
  } catch (error) {
    if (isBinding || !(error instanceof AppError)) throw error;
    return undefined;
  }
}

function keptLeaves(leaves: Leaves, removes: readonly string[]): Pick<CommitFacts, 'usersKeepingLeaves'> {
  if (removes.length === 0) return {};
  const here = new Set(leaves.map((leaf) => (leaf === undefined ? undefined : userOf(leaf))));
  const usersKeepingLeaves = removes.filter((user) => here.has(user));
  return usersKeepingLeaves.length === 0 ? {} : { usersKeepingLeaves };
}

function namedLosses(
  { usersLosingSomeLeaves, usersLosingAllLeaves }: ReturnType<typeof usersLosingLeaves>,
  removes: readonly string[],
): Omit<CommitFacts, 'isVerified'> {
  const named = new Set(removes);
  const unnamed = usersLosingAllLeaves.filter((one) => !named.has(one));
  return {
    ...(usersLosingSomeLeaves.length === 0 ? {} : { usersLosingSomeLeaves }),
    ...(unnamed.length === 0 ? {} : { usersLosingAllLeaves: unnamed }),
  };
}
