import type { GroupView, Leaf } from '../mls/mls-library.ts';

/** A commit gave a leaf to another user or key. A device that processes it would send its messages to an impostor. */
export class IdentityChangedError extends Error {
  override readonly name = 'IdentityChangedError';
}

/** What a commit says that was processed. */
export interface SeenCommit {
  readonly isExternal: boolean;
  /** Leaves that its proposals removed. */
  readonly removed: readonly number[];
}

/**
 * Checks two rules that not every MLS library checks: every leaf that the commit does not remove keeps its user and its signature
 * key, and an external commit removes only a leaf of the user who joins (RFC 9420 §12.4.3.2).
 * @throws IdentityChangedError
 */
export function checkIdentities(before: GroupView, after: GroupView, commit: SeenCommit): void {
  const [oldLeaves, newLeaves] = [before.leaves, after.leaves];
  const removed = new Set(commit.removed);
  for (const [index, leaf] of oldLeaves) {
    if (removed.has(index)) continue;
    const current = newLeaves.get(index);
    if (current === undefined || holderOf(current) !== holderOf(leaf)) {
      throw new IdentityChangedError(`the commit gives leaf ${index} to another user or key`);
    }
  }
  if (!commit.isExternal) return;
  const joined = [...newLeaves].filter(([index]) => removed.has(index) || !oldLeaves.has(index));
  const joiner = joined[0]?.[1].user;
  for (const index of removed) {
    const leaf = oldLeaves.get(index);
    if (joined.length === 1 && leaf !== undefined && leaf.user === joiner) continue;
    throw new IdentityChangedError(`an external commit removed leaf ${index}, which is not the joiner's`);
  }
}

/** The user and the signature key of a leaf, in a form that can be compared. */
function holderOf({ user, device }: Leaf): string {
  return JSON.stringify([user, device]);
}
