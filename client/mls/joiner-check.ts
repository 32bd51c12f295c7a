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

/**
 * Could a commit of this leaf make an unjoinable tree joinable again? It gives all parents above it new keys, which merges
 * what is unmerged there; so it helps those that share the lowest of them with a joiner that stays away.
 */
export function isInTheWay(tree: RatchetTree, leaf: number): boolean {
  if (isJoinable(tree)) return false;
  const above = (of: number): readonly number[] =>
    directPath(leafToNodeIndex(toLeafIndex(of)), leafWidth(tree.length)).filter(
      (index) => tree[index]?.nodeType === 'parent',
    );
  const own = new Set(above(leaf));
  const unmerged = new Set(
    tree
      .flatMap((node) => (node?.nodeType === 'parent' ? node.parent.unmergedLeaves : []))
      .filter((one) => one !== leaf),
  );
  return [...unmerged].some((joiner) => {
    const lowest = above(joiner).find((index) => {
      const node = tree[index];
      return node?.nodeType === 'parent' && node.parent.unmergedLeaves.includes(joiner);
    });
    return lowest !== undefined && own.has(lowest);
  });
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((leaf, i) => leaf === b[i]);
}
