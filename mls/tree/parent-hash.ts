import type { ParentNode } from '../frame.ts';
import type { Suite } from '../suite.ts';
import { HashInput } from './hash-input.ts';
import { type RatchetTree, parentAt } from './ratchet-tree.ts';
import { HashesWithout, type TreeHashes, lowerBound } from './tree-hash.ts';
import { leavesUnder, leftOf, rightOf } from './tree-math.ts';

/** ParentHashInput, hashed (RFC 9420 §7.9). @param siblingHash original tree hash of the copath child */
export function parentHash(
  suite: Suite,
  parent: Pick<ParentNode, 'encryptionKey' | 'parentHash'>,
  siblingHash: Uint8Array,
): Buffer {
  return hashOf(new HashInput(suite), parent, siblingHash);
}

function hashOf(
  input: HashInput,
  { encryptionKey, parentHash: above }: Pick<ParentNode, 'encryptionKey' | 'parentHash'>,
  siblingHash: Uint8Array,
): Buffer {
  return input.vector(encryptionKey).vector(above).vector(siblingHash).digest();
}

/**
 * Whether every parent node is parent-hash valid (RFC 9420 §7.9.2): exactly one of its descendants was updated together
 * with it and has its parent hash. So a signature of a leaf authenticates each key in the tree. The work grows with the
 * bytes of the tree times its height at most.
 * @param tree its lists of unmerged leaves are right
 */
export function areParentHashesValid(tree: RatchetTree, hashes: TreeHashes, suite: Suite): boolean {
  const { width } = tree;
  const input = new HashInput(suite);
  const originals = new HashesWithout(tree, hashes, input);
  const isUpdated = (parent: ParentNode, child: number, sibling: number): boolean => {
    const link = linkBelow(tree, parent, child);
    return link !== undefined && hashOf(input, parent, originals.of(sibling, parent.unmergedLeaves)).equals(link);
  };
  // From the leaves up: the lists of unmerged leaves get shorter, so most hashes of subtrees without them are known.
  for (let step = 2; step <= width; step *= 2) {
    for (let node = step - 1; node < 2 * width - 1; node += 2 * step) {
      const parent = parentAt(tree, node);
      if (parent === undefined) continue;
      const [left, right] = [leftOf(node), rightOf(node)];
      if (isUpdated(parent, left, right) === isUpdated(parent, right, left)) return false;
    }
  }
  return true;
}

/**
 * The parent hash field of the node under `child` that was updated together with `parent`: the only node in the resolution
 * of `child` (RFC 9420 §4.1.1) beside the unmerged leaves of `parent`. `undefined` = there is no such node.
 */
function linkBelow(tree: RatchetTree, { unmergedLeaves }: ParentNode, child: number): Uint8Array | undefined {
  const { first, last } = leavesUnder(child);
  // A cursor over the unmerged leaves under the child: the leaves in a resolution ascend too.
  let at = lowerBound(unmergedLeaves, first);
  let link: number | undefined;
  /** @returns whether the resolution can still have one other node only */
  const isOnlyOther = (node: number): boolean => {
    if (node % 2 === 0 && unmergedLeaves[at] === node / 2) {
      at++;
      return true;
    }
    if (link !== undefined) return false;
    link = node;
    return true;
  };
  const visit = (node: number): boolean => {
    if (node % 2 === 0) return tree.leaves[node / 2] === undefined || isOnlyOther(node);
    const parent = parentAt(tree, node);
    if (parent === undefined) return visit(leftOf(node)) && visit(rightOf(node));
    return isOnlyOther(node) && parent.unmergedLeaves.every((leaf) => isOnlyOther(2 * leaf));
  };
  if (!visit(child) || link === undefined || at < lowerBound(unmergedLeaves, last + 1)) return undefined;
  return link % 2 === 1 ? parentAt(tree, link)?.parentHash : tree.leaves[link / 2]?.parentHash;
}
