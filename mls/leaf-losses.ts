import { AppError } from '../domain/errors.ts';
import type { LeafNode } from './frame.ts';
import { type PublicCommit, removedLeaves } from './external-commit.ts';
import { type Leaves, userOf } from './tree.ts';

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
  const removed = new Set(removedLeaves(proposals));
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

function userOfAny(leaf: LeafNode | undefined): string | undefined {
  return leaf === undefined ? undefined : userOf(leaf);
}
