import type { RatchetTree } from 'ts-mls';
import { directPath, leafToNodeIndex, leafWidth, toLeafIndex } from 'ts-mls/treemath.js';

/**
 * Does ts-mls 1.6.4 accept this tree when it joins a group? For every unmerged leaf it demands that all parents above the
 * leaf list the same unmerged leaves, but RFC 9420 §7.9 demands only that each of these parents lists the leaf. For this
 * reason a new member commits an update at once, and a commit adds fewer devices when their places in the tree differ.
 */
export function acceptsJoiners(tree: RatchetTree): boolean {
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
 * Does the tree refuse joiners, and could a commit of this leaf change that? The commit gives new keys to all parents above
 * its leaf, which merges the unmerged leaves there. So it helps if the leaf is below the lowest parent that lists an
 * unmerged leaf of another member.
 */
export function blocksJoiners(tree: RatchetTree, leaf: number): boolean {
  if (acceptsJoiners(tree)) return false;
  const parentsAbove = (of: number): readonly number[] =>
    directPath(leafToNodeIndex(toLeafIndex(of)), leafWidth(tree.length)).filter(
      (index) => tree[index]?.nodeType === 'parent',
    );
  const own = new Set(parentsAbove(leaf));
  const unmerged = new Set(
    tree
      .flatMap((node) => (node?.nodeType === 'parent' ? node.parent.unmergedLeaves : []))
      .filter((other) => other !== leaf),
  );
  return [...unmerged].some((other) => {
    const lowest = parentsAbove(other).find((index) => {
      const node = tree[index];
      return node?.nodeType === 'parent' && node.parent.unmergedLeaves.includes(other);
    });
    return lowest !== undefined && own.has(lowest);
  });
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((leaf, i) => leaf === b[i]);
}
