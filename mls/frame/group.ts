import { MAX_TREE_LEAVES } from '../../domain/limits.ts';
import type { Extension, LeafNode } from './leaf.ts';
import { readExtensions, readLeafNode, readVersion, skipExtensions } from './leaf.ts';
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
  readonly confirmedTranscriptHash: Uint8Array;
  /** The bytes of the GroupContext (RFC 9420 §8.1). */
  readonly context: Uint8Array;
  /** The extensions of the GroupContext, encoded. */
  readonly contextExtensions: Uint8Array;
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

/** A parent node of the ratchet tree (RFC 9420 §7.1). */
export interface ParentNode {
  readonly encryptionKey: Uint8Array;
  readonly parentHash: Uint8Array;
  /** Leaf indexes of members who do not know the key of this node. */
  readonly unmergedLeaves: readonly number[];
  /** All bytes of the node. The tree hash covers them (RFC 9420 §7.8). */
  readonly bytes: Uint8Array;
}

/** The nodes of a ratchet tree up to the last one that is not blank. `undefined` = blank. */
export interface TreeNodes {
  /** By leaf index. */
  readonly leaves: readonly (LeafNode | undefined)[];
  /** By half of the node index: the parent at 2i + 1 is at i. */
  readonly parents: readonly (ParentNode | undefined)[];
}

const readUint32 = (reader: Reader): number => reader.u32();

const readParentNode = (reader: Reader): ParentNode => {
  const start = reader.offset;
  const encryptionKey = reader.vector();
  const parentHash = reader.vector();
  const unmergedLeaves = reader.list(readUint32, MAX_TREE_LEAVES);
  return { encryptionKey, parentHash, unmergedLeaves, bytes: reader.since(start) };
};

const readTreeNode = (reader: Reader): { readonly leaf: LeafNode } | { readonly parent: ParentNode } => {
  const type = reader.u8();
  if (type === 1) return { leaf: readLeafNode(reader) };
  if (type === 2) return { parent: readParentNode(reader) };
  return reader.fail('unknown node type');
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
  const confirmedTranscriptHash = reader.vector();
  const extensionsStart = reader.offset;
  skipExtensions(reader); // of the GroupContext
  const contextExtensions = reader.since(extensionsStart);
  const context = reader.since(start);
  const extensions = readExtensions(reader);
  const confirmationTag = reader.vector();
  const signer = reader.u32();
  const signed = reader.since(start);
  const signature = reader.vector();
  const wireFormat = 'group_info';
  const header = { wireFormat, cipherSuite, groupId, epoch, treeHash, confirmedTranscriptHash } as const;
  const signing = { confirmationTag, signer, signed, signature };
  return { ...header, context, contextExtensions, extensions, ...signing };
}

/** Parses a `ratchet_tree` extension (RFC 9420 §12.4.3.3). */
export function parseRatchetTree(bytes: Uint8Array): TreeNodes | FrameError {
  const reader = new Reader(bytes);
  const leaves: (LeafNode | undefined)[] = [];
  const parents: (ParentNode | undefined)[] = [];
  let last: ReturnType<typeof readTreeNode> | undefined;
  let index = 0;
  try {
    reader.each(() => {
      const node = reader.optional(readTreeNode);
      last = node;
      // Leaves have even node indexes and parents odd ones (RFC 9420 appendix C). A leaf at an odd index would go
      // unseen.
      const leafHere = index++ % 2 === 0;
      if (node !== undefined && leafHere !== 'leaf' in node) reader.fail('node in the wrong place');
      if (leafHere) leaves.push(node !== undefined && 'leaf' in node ? node.leaf : undefined);
      else parents.push(node !== undefined && 'parent' in node ? node.parent : undefined);
    }, MAX_TREE_NODES);
    reader.end();
    if (last === undefined) reader.fail('the last node is blank');
    return { leaves, parents };
  } catch (error) {
    if (error instanceof FrameError) return error;
    throw error;
  }
}
