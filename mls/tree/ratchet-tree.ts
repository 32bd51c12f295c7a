import { AppError } from '../../domain/errors.ts';
import { FrameError, type LeafNode, type ParentNode, parseRatchetTree } from '../frame.ts';
import { vector } from '../vector.ts';
import { leavesUnder, widthFor } from './tree-math.ts';

/** A ratchet tree as a full binary tree (RFC 9420 §7.8). `undefined` = blank node. */
export interface RatchetTree {
  /** Number of leaves, blank ones too: a power of two. */
  readonly width: number;
  /** By leaf index; `width` of them. */
  readonly leaves: readonly (LeafNode | undefined)[];
  /** By half of the node index; `width - 1` of them. */
  readonly parents: readonly (ParentNode | undefined)[];
}

/** Parses a `ratchet_tree` extension. @throws AppError `malformed` */
export function readRatchetTree(bytes: Uint8Array): RatchetTree {
  const nodes = parseRatchetTree(bytes);
  if (nodes instanceof FrameError) {
    throw new AppError('malformed', `The ratchet tree in the GroupInfo is not valid: ${nodes.message}`);
  }
  const width = widthFor(nodes.leaves.length);
  return { width, leaves: padded(nodes.leaves, width), parents: padded(nodes.parents, width - 1) };
}

/** Encodes a tree as a `ratchet_tree` extension (RFC 9420 §12.4.3.3). */
export function encodeRatchetTree({ width, leaves, parents }: RatchetTree): Buffer {
  const nodes: (LeafNode | ParentNode | undefined)[] = [];
  for (let node = 0; node < 2 * width - 1; node++) {
    nodes.push(node % 2 === 0 ? leaves[node / 2] : parents[(node - 1) / 2]);
  }
  while (nodes.length > 0 && nodes.at(-1) === undefined) nodes.pop();
  const parts = nodes.map((node, index) => {
    if (node === undefined) return Buffer.of(0);
    return Buffer.concat([Buffer.of(1, index % 2 === 0 ? 1 : 2), node.bytes]);
  });
  return vector(Buffer.concat(parts));
}

/** A parent node with its encoding (RFC 9420 §7.1). */
export function parentNode(content: Omit<ParentNode, 'bytes'>): ParentNode {
  const { encryptionKey, parentHash, unmergedLeaves } = content;
  // One buffer: the lists of a tree can have a million entries together.
  const unmerged = Buffer.alloc(4 * unmergedLeaves.length);
  for (const [i, leaf] of unmergedLeaves.entries()) unmerged.writeUInt32BE(leaf, 4 * i);
  return { ...content, bytes: Buffer.concat([vector(encryptionKey), vector(parentHash), vector(unmerged)]) };
}

/** The parent at a node index. `undefined` = blank. */
export function parentAt({ parents }: RatchetTree, node: number): ParentNode | undefined {
  return parents[(node - 1) / 2];
}

/** Whether all nodes under a node are blank, itself too: its resolution is empty (RFC 9420 §4.1.1). */
export function isEmpty({ leaves }: Pick<RatchetTree, 'leaves'>, node: number): boolean {
  // A parent that is not blank always has a leaf under it.
  const { first, last } = leavesUnder(node);
  for (let leaf = first; leaf <= last; leaf++) if (leaves[leaf] !== undefined) return false;
  return true;
}

function padded<T>(nodes: readonly (T | undefined)[], length: number): (T | undefined)[] {
  return Array.from({ length }, (_, index) => nodes[index]);
}
