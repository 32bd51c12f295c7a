/**
 * Node indexes of a full binary tree in an array (RFC 9420 appendix C): leaves have even indexes, and the parent between
 * two subtrees stands between them.
 */

/** Height of a node above the leaves. */
export function levelOf(node: number): number {
  let level = 0;
  while (((node >> level) & 1) === 1) level++;
  return level;
}

/** Index of the root. @param width number of leaves, a power of two */
export function rootOf(width: number): number {
  return width - 1;
}

export function leftOf(parent: number): number {
  return parent ^ (1 << (levelOf(parent) - 1));
}

export function rightOf(parent: number): number {
  return parent ^ (3 << (levelOf(parent) - 1));
}

/** The node above. Not for the root. */
export function parentOf(node: number): number {
  const level = levelOf(node);
  const isRight = (node >> (level + 1)) & 1;
  return (node | (1 << level)) ^ (isRight << (level + 1));
}

/** The other child of the same parent. Not for the root. */
export function siblingOf(node: number): number {
  const parent = parentOf(node);
  return node < parent ? rightOf(parent) : leftOf(parent);
}

/** Parents from a leaf to the root. */
export function directPath(leafIndex: number, width: number): number[] {
  const path: number[] = [];
  const root = rootOf(width);
  for (let node = 2 * leafIndex; node !== root; path.push(node)) node = parentOf(node);
  return path;
}

/** First and last leaf index under a node. */
export function leavesUnder(node: number): { readonly first: number; readonly last: number } {
  const half = (1 << levelOf(node)) - 1;
  return { first: (node - half) / 2, last: (node + half) / 2 };
}

/** The least power of two that holds `leaves` leaves. */
export function widthFor(leaves: number): number {
  let width = 1;
  while (width < leaves) width *= 2;
  return width;
}
