import { MAX_TREE_LEAVES } from '../../domain/limits.ts';
import type { Extension, LeafNode } from './leaf.ts';
import { readExtensions, readLeafNode, readVersion } from './leaf.ts';
import type { Epoch } from './reader.ts';
import { FrameError, Reader } from './reader.ts';

/** A Welcome (RFC 9420 §12.4.3.1). Its group id and epoch are encrypted. */
export interface WelcomeFrame {
  readonly wireFormat: 'welcome';
  readonly cipherSuite: number;
  /** KeyPackageRefs of the new members. */
  readonly newMembers: readonly Uint8Array[];
}

/** A GroupInfo (RFC 9420 §12.4.3). */
export interface GroupInfoFrame {
  readonly wireFormat: 'group_info';
  readonly cipherSuite: number;
  readonly groupId: Uint8Array;
  readonly epoch: Epoch;
  readonly treeHash: Uint8Array;
  /** Extensions of the GroupInfo itself, not of its GroupContext: `ratchet_tree` (2), `external_pub` (4) and others. */
  readonly extensions: readonly Extension[];
  readonly confirmationTag: Uint8Array;
  /** Leaf index of the member who signed it. */
  readonly signer: number;
  /** The signed bytes (GroupInfoTBS). */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

/** GroupInfo extension with the ratchet tree (RFC 9420 §12.4.3.3). */
export const RATCHET_TREE_EXTENSION = 2;
/** GroupInfo extension with the public key for external commits (RFC 9420 §12.4.3.2). */
export const EXTERNAL_PUB_EXTENSION = 4;

/** A tree has one parent less than leaves (RFC 9420 appendix C). */
const MAX_TREE_NODES = 2 * MAX_TREE_LEAVES - 1;

const readNewMember = (reader: Reader): Uint8Array => {
  const reference = reader.vector();
  reader.skipVector(); // KEM output
  reader.skipVector(); // encrypted group secrets
  return reference;
};

const skipUint32 = (reader: Reader): void => void reader.u32();

const readTreeNode = (reader: Reader): LeafNode | 'parent' => {
  const type = reader.u8();
  if (type === 1) return readLeafNode(reader);
  if (type !== 2) reader.fail('unknown node type');
  reader.skipVector(); // encryption key
  reader.skipVector(); // parent hash
  reader.each(skipUint32, MAX_TREE_LEAVES); // unmerged leaves
  return 'parent';
};

/** Reads a Welcome (RFC 9420 §12.4.3.1). */
export function readWelcome(reader: Reader): WelcomeFrame {
  const cipherSuite = reader.u16();
  const newMembers = reader.list(readNewMember);
  reader.skipVector(); // encrypted GroupInfo
  return { wireFormat: 'welcome', cipherSuite, newMembers };
}

/** Reads a GroupInfo (RFC 9420 §12.4.3) with its GroupContext (§8.1). */
export function readGroupInfo(reader: Reader): GroupInfoFrame {
  const start = reader.offset;
  readVersion(reader);
  const cipherSuite = reader.u16();
  const groupId = reader.vector();
  const epoch = reader.epoch();
  const treeHash = reader.vector();
  reader.skipVector(); // confirmed transcript hash
  readExtensions(reader); // of the GroupContext
  const extensions = readExtensions(reader);
  const confirmationTag = reader.vector();
  const signer = reader.u32();
  const signed = reader.since(start);
  const signature = reader.vector();
  const wireFormat = 'group_info';
  return { wireFormat, cipherSuite, groupId, epoch, treeHash, extensions, confirmationTag, signer, signed, signature };
}

/** Parses a `ratchet_tree` extension (RFC 9420 §12.4.3.3). @returns leaves by leaf index; `undefined` = blank leaf */
export function parseRatchetTree(bytes: Uint8Array): readonly (LeafNode | undefined)[] | FrameError {
  const reader = new Reader(bytes);
  const leaves: (LeafNode | undefined)[] = [];
  let last: LeafNode | 'parent' | undefined;
  let index = 0;
  try {
    reader.each(() => {
      last = reader.optional(readTreeNode);
      // Leaves have even node indexes and parents odd ones (RFC 9420 appendix C). A leaf at an odd index would go
      // unseen.
      const leafHere = index++ % 2 === 0;
      if (last !== undefined && leafHere === (last === 'parent')) reader.fail('node in the wrong place');
      if (leafHere) leaves.push(last === 'parent' ? undefined : last);
    }, MAX_TREE_NODES);
    reader.end();
    if (last === undefined) reader.fail('the last node is blank');
    return leaves;
  } catch (error) {
    if (error instanceof FrameError) return error;
    throw error;
  }
}
