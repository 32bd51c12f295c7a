import { AppError } from '../domain/errors.ts';
import type { LeafNode, ProposalOrRef, PublicFrame } from './frame.ts';
import { type Leaves, userOf } from './tree.ts';

export type PublicCommit = Extract<PublicFrame, { contentType: 'commit' }>;

/** Content of an external commit that the checks need. */
export interface ExternalCommit {
  /** The new leaf of the joining device. */
  readonly path: LeafNode;
  /** Index of the leaf that the commit removes: the old leaf of the same user. Absent = it removes no leaf. */
  readonly removed: number | undefined;
}

/**
 * Checks the form of an external commit (RFC 9420 §12.2, §12.4.3.2). It must have a path and exactly one ExternalInit.
 * It may have one Remove, any number of PSKs, and references, which stand for SelfRemoves (references.ts). Other proposals are not
 * allowed.
 * @throws AppError `malformed`
 */
export function readExternalCommit({ path, proposals }: PublicCommit): ExternalCommit {
  const count = (type: ProposalOrRef['type']): number => proposals.filter((proposal) => proposal.type === type).length;
  const removes = proposals.filter((proposal) => proposal.type === 'remove');
  if (path === undefined) throw new AppError('malformed', 'An external commit must have a path');
  if (count('external_init') !== 1) {
    throw new AppError('malformed', 'An external commit must have exactly one ExternalInit');
  }
  if (removes.length > 1) throw new AppError('malformed', 'An external commit may have at most one Remove');
  if (count('external_init') + count('psk') + count('reference') + removes.length < proposals.length) {
    throw new AppError(
      'malformed',
      'An external commit may have only ExternalInit, Remove and PSK proposals, and SelfRemoves by reference',
    );
  }
  return { path, removed: removes[0]?.removed };
}

/**
 * Checks whose leaves an external commit adds and removes: both must belong to `user`.
 * @throws AppError `identity-mismatch`
 */
export function checkJoiner({ path, removed }: ExternalCommit, leaves: Leaves, user: string): void {
  if (userOf(path) !== user) {
    throw new AppError('identity-mismatch', 'The new leaf of an external commit must belong to you');
  }
  if (removed === undefined) return;
  const old = leaves[removed];
  if (old === undefined || userOf(old) !== user) {
    throw new AppError('identity-mismatch', 'An external commit may remove only your own leaf');
  }
}

/**
 * Index of the leaf that a new member gets: the leftmost blank leaf, or a new leaf at the right end (RFC 9420 §7.7,
 * §12.4.3.2).
 */
export function joiningIndex(leaves: Leaves, { proposals }: Pick<PublicCommit, 'proposals'>): number {
  const removed = new Set(removedLeaves(proposals));
  const blank = leaves.findIndex((leaf, index) => leaf === undefined || removed.has(index));
  return blank === -1 ? leaves.length : blank;
}

/** Indexes of the leaves that proposals remove, as far as they say it. */
export function removedLeaves(proposals: readonly ProposalOrRef[]): number[] {
  return proposals.flatMap((one) =>
    (one.type === 'remove' || one.type === 'self_remove') && one.removed !== undefined ? [one.removed] : [],
  );
}
