import type { LeafNode, ParentNode } from '../../../mls/frame.ts';
import type { Suite } from '../../../mls/suite.ts';
import { type RatchetTree, parentNode } from '../../../mls/tree/ratchet-tree.ts';
import { leavesUnder, leftOf, levelOf, rightOf, rootOf } from '../../../mls/tree/tree-math.ts';
import { uint32, vector } from '../../../mls/vector.ts';
import { linkedNode, naiveHash, naiveParentHash } from './naive-parent-hashes.ts';

/** Which nodes a tree has. */
export interface TreePlan {
  /** Number of leaves: a power of two. */
  readonly width: number;
  readonly isLeafBlank?: (leaf: number) => boolean;
  readonly isParentBlank?: (node: number) => boolean;
  /** Parents up to so many levels above the leaf list it as unmerged. @default 0 */
  readonly unmergedTo?: (leaf: number) => number;
}

/**
 * Builds a tree whose parent hashes and lists of unmerged leaves are right. Parents for which that is impossible are
 * blank. Its leaves have no valid signatures.
 */
export function plannedTree(plan: TreePlan, suite: Suite): RatchetTree {
  const { width, isLeafBlank = () => false, isParentBlank = () => false, unmergedTo = () => 0 } = plan;
  const leaves = Array.from({ length: width }, (_, i) => (isLeafBlank(i) ? undefined : leafNode(i, Buffer.alloc(0))));
  const parents = new Array<ParentNode | undefined>(width - 1).fill(undefined);
  const linked: number[] = [];
  for (let step = 2; step <= width; step *= 2) {
    for (let node = step - 1; node < 2 * width - 1; node += 2 * step) {
      const { first, last } = leavesUnder(node);
      const unmergedLeaves: number[] = [];
      for (let leaf = first; leaf <= last; leaf++) {
        if (leaves[leaf] !== undefined && unmergedTo(leaf) >= levelOf(node)) unmergedLeaves.push(leaf);
      }
      const below = [leftOf(node), rightOf(node)].find(
        (child) => linkedNode({ leaves, parents }, { unmergedLeaves }, child) !== undefined,
      );
      if (below === undefined || isParentBlank(node)) continue;
      linked[node] = below;
      parents[(node - 1) / 2] = parentNode({ encryptionKey: key(node), parentHash: Buffer.alloc(0), unmergedLeaves });
    }
  }
  const tree = { width, leaves, parents };
  const build = (node: number, above: Buffer): void => {
    if (node % 2 === 0) {
      if (leaves[node / 2] !== undefined) leaves[node / 2] = leafNode(node / 2, above);
      return;
    }
    const parent = parents[(node - 1) / 2];
    const below = linked[node];
    if (parent === undefined || below === undefined) {
      build(leftOf(node), above);
      build(rightOf(node), above);
      return;
    }
    const written = parentNode({ ...parent, parentHash: above });
    parents[(node - 1) / 2] = written;
    const sibling = below === leftOf(node) ? rightOf(node) : leftOf(node);
    // The other child was updated by an older commit, whose parents are gone.
    build(sibling, suite.hash(uint32(node)));
    build(below, naiveParentHash(suite, written, naiveHash(tree, sibling, suite, written.unmergedLeaves)));
  };
  build(rootOf(width), Buffer.alloc(0));
  return tree;
}

function key(node: number): Buffer {
  return Buffer.concat([uint32(node), Buffer.alloc(28, 1)]);
}

/** A leaf of a commit, as long as one with Ed25519, whose signature is not valid. */
function leafNode(index: number, parentHash: Buffer): LeafNode {
  const [encryptionKey, identity] = [key(2 * index), Buffer.from(`user-${index}`)];
  const signed = Buffer.concat([
    vector(encryptionKey),
    vector(encryptionKey),
    Buffer.of(0, 1),
    vector(identity),
    Buffer.of(2, 0, 1, 2, 0, 1, 0, 0, 2, 0, 1, 3),
    vector(parentHash),
    vector(Buffer.alloc(0)),
  ]);
  const signature = Buffer.alloc(64);
  const keys = { encryptionKey, signatureKey: encryptionKey, credentialType: 1, identity };
  const content = { source: 'commit', lifetime: undefined, parentHash } as const;
  return { ...keys, ...content, signed, signature, bytes: Buffer.concat([signed, vector(signature)]) };
}
