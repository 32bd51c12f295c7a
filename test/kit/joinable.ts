import type { RatchetTree } from 'ts-mls';
import { directPath, leafToNodeIndex, leafWidth, toLeafIndex } from 'ts-mls/treemath.js';

/**
 * Will ts-mls 1.6.4 let a joiner in? It demands that all parents above an unmerged leaf list the same unmerged leaves, where
 * RFC 9420 §7.9 asks only that each of them lists the leaf. That is why joiners update at once, and why a commit adds fewer
 * devices when their places in the tree differ.
 */
export function isJoinable(tree: RatchetTree): boolean {
  const width = leafWidth(tree.length);
  return tree.every((node) => {
    if (node?.nodeType !== 'parent') return true;
    const { unmergedLeaves } = node.parent;
    return unmergedLeaves.every((leaf) =>
      directPath(leafToNodeIndex(toLeafIndex(leaf)), width).every((index) => {
        const above = tree[index];
        return above?.nodeType !== 'parent' || isSame(above.parent.unmergedLeaves, unmergedLeaves);
      }),
    );
  });
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((leaf, i) => leaf === b[i]);
}
