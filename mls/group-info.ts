import { AppError } from '../domain/errors.ts';
import { EXTERNAL_PUB_EXTENSION, type GroupInfoFrame, type LeafNode } from './frame.ts';
import { verifySignature } from './signature.ts';
import { type Leaves, readLeaves, treeBytes, userOf } from './tree.ts';

/** What the ratchet tree of a GroupInfo says. */
export interface Tree {
  readonly leaves: Leaves;
  /** Distinct users of the leaves, sorted. */
  readonly users: readonly string[];
}

/**
 * Reads the ratchet tree of a GroupInfo, if it holds one of at most `maxBytes`, without judging it.
 * @throws AppError `malformed`
 */
export function readTree(frame: GroupInfoFrame, maxBytes: number): Leaves | undefined {
  const bytes = treeBytes(frame);
  return bytes === undefined || bytes.length > maxBytes ? undefined : readLeaves(bytes);
}

/** Whether devices can join by it: it has an `external_pub` (RFC 9420 §12.4.3.2). */
export function hasExternalKey({ extensions }: GroupInfoFrame): boolean {
  return extensions.some(({ type }) => type === EXTERNAL_PUB_EXTENSION);
}

/**
 * Checks a GroupInfo against the tree that it holds (RFC 9420 §12.4.3.1): signed by one of the leaves, and every leaf is a
 * device of a user, with keys of its own.
 * @throws AppError `group-info-mismatch`, `membership-mismatch`
 */
export async function checkTree(frame: GroupInfoFrame, leaves: Leaves): Promise<Tree> {
  const signer = leaves[frame.signer];
  if (signer === undefined)
    throw new AppError('group-info-mismatch', 'The leaf that signed the GroupInfo is not in it');
  const { cipherSuite, signed: content, signature } = frame;
  const verdict = await verifySignature('GroupInfoTBS', {
    cipherSuite,
    publicKey: signer.signatureKey,
    content,
    signature,
  });
  if (verdict === 'invalid') throw new AppError('group-info-mismatch', 'The signature of the GroupInfo is not valid');
  const present = leaves.filter((leaf) => leaf !== undefined);
  return { leaves, users: usersOf(present) };
}

function usersOf(leaves: readonly LeafNode[]): string[] {
  const users = new Set<string>();
  // RFC 9420 §7.3: signature keys and encryption keys are unique among the members.
  const keys = [new Set<string>(), new Set<string>()] as const;
  for (const leaf of leaves) {
    const user = userOf(leaf);
    if (user === undefined) throw new AppError('membership-mismatch', 'A leaf of the tree names no user');
    users.add(user);
    keys[0].add(keyOf(leaf.signatureKey));
    keys[1].add(keyOf(leaf.encryptionKey));
  }
  if (keys.some(({ size }) => size < leaves.length)) {
    throw new AppError('membership-mismatch', 'Two leaves of the tree have the same key');
  }
  return [...users].sort();
}

function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
