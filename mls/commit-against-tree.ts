import type { MembershipChange } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import type { Bundle, BundleParts } from './bundle.ts';
import { leavesAfter, sameLeaves, usersLosingLeaves } from './next-tree.ts';
import { type StoredTree, userOf } from './tree.ts';

/**
 * Facts that the deciding transaction compares with roles and policy. Known only if the service has the ratchet tree of
 * the epoch that the commit ends.
 */
export type RemovalFacts = Pick<MembershipChange, 'usersLosingSomeLeaves' | 'usersLosingAllLeaves'>;

/**
 * Checks a public commit against the ratchet tree of the epoch that it ends: the sender leaf belongs to the caller,
 * every removed leaf exists, and the tree in the new GroupInfo is the result of the commit.
 * @param user the caller
 * @returns users who lose leaves and are not in `removes`; empty for a PrivateMessage
 * @throws AppError `identity-mismatch`, `group-info-mismatch`, `membership-mismatch`
 */
export function checkAgainstTree(
  { commit, groupInfo, leaves }: Bundle,
  { removes = [] }: BundleParts,
  stored: StoredTree,
  user: string,
): RemovalFacts {
  if (commit === undefined) return {};
  if (groupInfo !== undefined && groupInfo.cipherSuite !== stored.cipherSuite) {
    throw new AppError('group-info-mismatch', 'The GroupInfo and the group use different cipher suites');
  }
  if (commit.sender.type === 'member') {
    checkSender(stored, commit.sender.leafIndex, user);
  }
  const { usersLosingSomeLeaves, usersLosingAllLeaves } = usersLosingLeaves(stored.leaves, commit, user);
  const next = leavesAfter(stored.leaves, commit);
  if (next !== undefined && leaves !== undefined && !sameLeaves(next, leaves)) {
    throw new AppError('group-info-mismatch', 'The ratchet tree in the GroupInfo is not the tree after this commit');
  }
  // `next` is undefined if the commit includes proposals by reference: their removals are not in the commit.
  if (next?.some((leaf) => leaf !== undefined && removes.includes(userOf(leaf) ?? '')) === true) {
    throw new AppError('membership-mismatch', 'The commit keeps a leaf of a user in removes');
  }
  const unnamed = usersLosingAllLeaves.filter((one) => !removes.includes(one));
  return {
    ...(usersLosingSomeLeaves.length === 0 ? {} : { usersLosingSomeLeaves }),
    ...(unnamed.length === 0 ? {} : { usersLosingAllLeaves: unnamed }),
  };
}

/** Checks that the sender leaf belongs to the caller. @throws AppError `identity-mismatch` */
export function checkSender({ leaves }: StoredTree, leafIndex: number, user: string): void {
  const sender = leaves[leafIndex];
  if (sender === undefined || userOf(sender) !== user) {
    throw new AppError('identity-mismatch', 'The sender leaf does not belong to you');
  }
}
