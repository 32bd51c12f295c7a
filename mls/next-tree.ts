import { AppError } from '../domain/errors.ts';
import type { LeafNode } from './frame.ts';
import { type PublicCommit, joiningIndex } from './external-commit.ts';
import { type Leaves, userOf } from './tree.ts';

/**
 * Computes the leaves after a public commit (RFC 9420 §7.7, §7.8, §12.3). The order is: removals, additions, then the
 * committer's path.
 * @returns `undefined` if the commit includes proposals by reference: their content is not in the commit
 */
export function leavesAfter(before: Leaves, { sender, proposals, path }: PublicCommit): Leaves | undefined {
  if (proposals.some(({ type }) => type === 'reference')) return undefined;
  const leaves = [...before];
  for (const proposal of proposals) if (proposal.type === 'remove') leaves[proposal.removed] = undefined;
  const put = (leaf: LeafNode): void => void (leaves[joiningIndex(leaves, undefined)] = leaf);
  for (const proposal of proposals) if (proposal.type === 'add') put(proposal.keyPackage.leaf);
  if (path !== undefined && sender.type === 'member') leaves[sender.leafIndex] = path;
  if (path !== undefined && sender.type === 'new_member_commit') put(path);
  return leaves;
}

/** Whether two trees have the same leaves, byte by byte, at the same indexes. */
export function sameLeaves(one: Leaves, other: Leaves): boolean {
  const length = Math.max(one.length, other.length);
  return Array.from({ length }, (_, index) => sameLeaf(one[index], other[index])).every(Boolean);
}

/** Users who lose leaves through a commit. The committer is not in these lists. */
export interface LeafLosses {
  readonly usersLosingSomeLeaves: readonly string[];
  readonly usersLosingAllLeaves: readonly string[];
}

/**
 * Finds the users whose leaves a public commit removes.
 * @throws AppError `membership-mismatch` if the commit removes a blank leaf or the committer's own leaf (RFC 9420
 * §12.2)
 */
export function usersLosingLeaves(before: Leaves, { sender, proposals }: PublicCommit, committer: string): LeafLosses {
  const removed = new Set(proposals.flatMap((proposal) => (proposal.type === 'remove' ? [proposal.removed] : [])));
  const added = proposals.flatMap((proposal) => (proposal.type === 'add' ? [proposal.keyPackage.leaf] : []));
  const losers = new Set<string>();
  for (const index of removed) {
    if (sender.type === 'member' && sender.leafIndex === index) {
      throw new AppError('membership-mismatch', 'A member cannot commit its own removal');
    }
    const leaf = before[index];
    if (leaf === undefined) {
      throw new AppError('membership-mismatch', `The commit removes leaf ${index}, which is blank`);
    }
    const user = userOf(leaf);
    if (user !== undefined && user !== committer) losers.add(user);
  }
  const stillThere = new Set([...before.filter((_, index) => !removed.has(index)), ...added].map(userOfAny));
  return {
    usersLosingSomeLeaves: [...losers].filter((user) => stillThere.has(user)),
    usersLosingAllLeaves: [...losers].filter((user) => !stillThere.has(user)),
  };
}

function sameLeaf(one: LeafNode | undefined, other: LeafNode | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return Buffer.compare(one.signed, other.signed) === 0 && Buffer.compare(one.signature, other.signature) === 0;
}

function userOfAny(leaf: LeafNode | undefined): string | undefined {
  return leaf === undefined ? undefined : userOf(leaf);
}
