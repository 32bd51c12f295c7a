import { AppError } from '../domain/errors.ts';
import type { LeafNode } from './frame.ts';
import { readLeafNode } from './frame/leaf.ts';
import { Reader } from './frame/reader.ts';
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

/** @throws AppError `group-info-mismatch` */
export function refuseBadLeaf(leaf: LeafNode, place: LeafPlace): void {
  if (verifyLeaf(leaf, place) === 'valid') return;
  throw new AppError('group-info-mismatch', `The signature of leaf ${place.leafIndex} is not valid`);
}

/** Leaves of one tree that wait for their verification. Plain data: it travels to worker threads. */
export interface LeafBatch extends Omit<LeafPlace, 'leafIndex'> {
  /** Leaf indexes, in the order of {@link bytes}. */
  readonly indexes: readonly number[];
  /** The encoded leaves, one after the other. */
  readonly bytes: Uint8Array;
}

/** Splits leaves into batches of at most `size`. */
export function leafBatches(
  leaves: readonly (readonly [leafIndex: number, leaf: LeafNode])[],
  group: Omit<LeafPlace, 'leafIndex'>,
  size: number,
): LeafBatch[] {
  const { cipherSuite, groupId } = group;
  const batches: LeafBatch[] = [];
  for (let start = 0; start < leaves.length; start += size) {
    const part = leaves.slice(start, start + size);
    const bytes = Buffer.concat(part.map(([, leaf]) => leaf.bytes));
    batches.push({ cipherSuite, groupId, indexes: part.map(([index]) => index), bytes });
  }
  return batches;
}

/** Verifies the signatures of a batch. @throws AppError `group-info-mismatch` */
export function checkLeafBatch({ indexes, bytes, ...group }: LeafBatch): undefined {
  const reader = new Reader(bytes);
  for (const leafIndex of indexes) refuseBadLeaf(readLeafNode(reader), { ...group, leafIndex });
}
