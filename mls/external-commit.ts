import { AppError } from '../domain/errors.ts';
import type { LeafNode, ProposalOrRef, PublicFrame } from './frame.ts';
import { verifySignature } from './signature.ts';
import { type Leaves, type StoredTree, userOf } from './tree.ts';
import { vector } from './vector.ts';

export type PublicCommit = Extract<PublicFrame, { contentType: 'commit' }>;

/** What an external commit proposes. */
export interface ExternalCommit {
  readonly groupId: Uint8Array;
  /** The joiner's leaf. */
  readonly path: LeafNode;
  /** Index of the joiner's own old leaf, if it takes that out. */
  readonly removed: number | undefined;
}

/**
 * Checks the form of an external commit: a path, exactly one ExternalInit, at most one Remove, else only PSKs, and nothing
 * by reference (RFC 9420 §12.2, §12.4.3.2).
 * @throws AppError `malformed`
 */
export function readExternalCommit({ groupId, path, proposals }: PublicCommit): ExternalCommit {
  const count = (type: ProposalOrRef['type']): number => proposals.filter((proposal) => proposal.type === type).length;
  const removes = proposals.filter((proposal) => proposal.type === 'remove');
  if (path === undefined) throw new AppError('malformed', 'An external commit has a path');
  if (count('external_init') !== 1) throw new AppError('malformed', 'An external commit has exactly one ExternalInit');
  if (removes.length > 1) throw new AppError('malformed', 'An external commit has at most one Remove');
  if (count('external_init') + count('psk') + removes.length < proposals.length) {
    throw new AppError('malformed', 'An external commit has no other proposals than ExternalInit, Remove and PSKs');
  }
  return { groupId, path, removed: removes[0]?.removed };
}

/**
 * Checks that an external commit brings in a leaf of `user`, and takes out none but its own, in the group as it stands.
 * @throws AppError `identity-mismatch`
 */
export async function checkExternalCommit(
  { groupId, path, removed }: ExternalCommit,
  { cipherSuite, leaves }: StoredTree,
  user: string,
): Promise<void> {
  if (userOf(path) !== user) throw new AppError('identity-mismatch', 'The leaf of an external commit must be your own');
  if (removed !== undefined) {
    const old = leaves[removed];
    if (old === undefined || userOf(old) !== user) {
      throw new AppError('identity-mismatch', 'An external commit removes no leaf but your own');
    }
  }
  const content = Buffer.concat([path.signed, vector(groupId), u32(joiningIndex(leaves, removed))]);
  const { signatureKey: publicKey, signature } = path;
  const verdict = await verifySignature('LeafNodeTBS', { cipherSuite, publicKey, content, signature });
  // Of a cipher suite that cannot be verified here, nobody can say whose leaf it is.
  if (verdict !== 'valid') throw new AppError('identity-mismatch', 'The signature of the leaf is not valid');
}

/** The leaf that a joiner takes: the leftmost blank one, else a new one to the right (RFC 9420 §7.7, §12.4.3.2). */
export function joiningIndex(leaves: Leaves, removed: number | undefined): number {
  const blank = leaves.findIndex((leaf, index) => leaf === undefined || index === removed);
  return blank === -1 ? leaves.length : blank;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
