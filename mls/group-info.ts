import { AppError } from '../domain/errors.ts';
import { EXTERNAL_PUB_EXTENSION, type GroupInfoFrame, type LeafNode } from './frame.ts';
import { verifySignature } from './signature.ts';
import { type Leaves, readLeaves, treeBytes, userOf } from './tree.ts';

/** A checked ratchet tree. */
export interface Tree {
  readonly leaves: Leaves;
  /** Users who own a leaf; each once, sorted. */
  readonly users: readonly string[];
}

/**
 * Parses the ratchet tree in a GroupInfo. {@link checkTree} checks its content.
 * @returns `undefined` if there is no tree, or the tree is larger than `maxBytes`
 * @throws AppError `malformed`
 */
export function readTree(frame: GroupInfoFrame, maxBytes: number): Leaves | undefined {
  const bytes = treeBytes(frame);
  return bytes === undefined || bytes.length > maxBytes ? undefined : readLeaves(bytes);
}

/** Whether a device can join with this GroupInfo: it has the `external_pub` extension (RFC 9420 §12.4.3.2). */
export function hasExternalKey({ extensions }: GroupInfoFrame): boolean {
  return extensions.some(({ type }) => type === EXTERNAL_PUB_EXTENSION);
}

/**
 * Checks a GroupInfo against its own tree (RFC 9420 §12.4.3.1): one of the leaves signed it, every leaf names a user,
 * and no two leaves share a key. An unknown cipher suite passes: the service cannot check its signature.
 * @throws AppError `group-info-mismatch`, `membership-mismatch`
 */
export async function checkTree(frame: GroupInfoFrame, leaves: Leaves): Promise<Tree> {
  const signer = leaves[frame.signer];
  if (signer === undefined) {
    throw new AppError('group-info-mismatch', 'The leaf that signed the GroupInfo is not in its ratchet tree');
  }
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
  // Each signature key and each encryption key must be unique in the group (RFC 9420 §7.3).
  const keys = [new Set<string>(), new Set<string>()] as const;
  for (const leaf of leaves) {
    const user = userOf(leaf);
    if (user === undefined)
      throw new AppError('membership-mismatch', 'A leaf of the ratchet tree does not name a user');
    users.add(user);
    keys[0].add(keyOf(leaf.signatureKey));
    keys[1].add(keyOf(leaf.encryptionKey));
  }
  if (keys.some(({ size }) => size < leaves.length)) {
    throw new AppError('membership-mismatch', 'Two leaves of the ratchet tree have the same key');
  }
  return [...users].sort();
}

function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
