import type { LeafNode } from './frame.ts';
import { type Verdict, verifySignatureNow } from './signature.ts';
import { uint32, vector } from './vector.ts';

/** Where a leaf stands. Its signature covers this, except that of a leaf from a key package. */
export interface LeafPlace {
  readonly cipherSuite: number;
  readonly groupId: Uint8Array;
  readonly leafIndex: number;
}

/** Verifies the signature of a leaf (RFC 9420 §7.2). */
export function verifyLeaf(leaf: LeafNode, { cipherSuite, groupId, leafIndex }: LeafPlace): Verdict {
  const { signatureKey: publicKey, signature, signed, source } = leaf;
  const content = source === 'key_package' ? signed : Buffer.concat([signed, vector(groupId), uint32(leafIndex)]);
  return verifySignatureNow('LeafNodeTBS', { cipherSuite, publicKey, content, signature });
}
