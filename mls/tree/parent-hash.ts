import type { ParentNode } from '../frame.ts';
import type { Suite } from '../suite.ts';
import { vector } from '../vector.ts';
import { type RatchetTree, parentAt } from './ratchet-tree.ts';
import { type TreeHashes, hashWithout, within } from './tree-hash.ts';
import { leavesUnder, leftOf, rightOf } from './tree-math.ts';

/** ParentHashInput, hashed (RFC 9420 §7.9). @param siblingHash original tree hash of the copath child */
export function parentHash(
  { hash }: Suite,
  { encryptionKey, parentHash: above }: Pick<ParentNode, 'encryptionKey' | 'parentHash'>,
  siblingHash: Uint8Array,
): Buffer {
  return hash(vector(encryptionKey), vector(above), vector(siblingHash));
}

/**
 * Whether every parent node is parent-hash valid (RFC 9420 §7.9.2): exactly one of its descendants was updated together
 * with it and has its parent hash. So a signature of a leaf authenticates each key in the tree.
 */
export function areParentHashesValid(tree: RatchetTree, hashes: TreeHashes, suite: Suite): boolean {
  return tree.parents.every((parent, index) => {
    if (parent === undefined) return true;
    const node = 2 * index + 1;
    const sides = [
      [leftOf(node), rightOf(node)],
      [rightOf(node), leftOf(node)],
    ] as const;
    const updated = sides.filter(([child, sibling]) => {
      const link = linkBelow(tree, parent, child);
      if (link === undefined) return false;
      const siblingHash = hashWithout(tree, sibling, parent.unmergedLeaves, { suite, hashes });
      return parentHash(suite, parent, siblingHash).equals(link);
    });
    return updated.length === 1;
  });
}

/**
 * The parent hash field of the node under `child` that was updated together with `parent`: the only node in the resolution
 * of `child` beside the unmerged leaves of `parent`. `undefined` = there is no such node.
 */
function linkBelow(tree: RatchetTree, parent: ParentNode, child: number): Uint8Array | undefined {
  const { first, last } = leavesUnder(child);
  const unmerged = within(parent.unmergedLeaves, first, last);
  const isUnmerged = new Set(unmerged);
  const resolution = resolutionOf(tree, child);
  const others = resolution.filter((node) => node % 2 === 1 || !isUnmerged.has(node / 2));
  const [node] = others;
  if (node === undefined || others.length > 1 || resolution.length !== unmerged.length + 1) return undefined;
  return node % 2 === 1 ? parentAt(tree, node)?.parentHash : tree.leaves[node / 2]?.parentHash;
}

/** Node indexes of the resolution of a node (RFC 9420 §4.1.1). */
function resolutionOf(tree: RatchetTree, node: number): number[] {
  const resolution: number[] = [];
  const visit = (at: number): void => {
    if (at % 2 === 0) {
      if (tree.leaves[at / 2] !== undefined) resolution.push(at);
      return;
    }
    const parent = parentAt(tree, at);
    if (parent === undefined) {
      visit(leftOf(at));
      visit(rightOf(at));
      return;
    }
    resolution.push(at);
    for (const leaf of parent.unmergedLeaves) resolution.push(2 * leaf);
  };
  visit(node);
  return resolution;
}
