import type { RatchetTree } from './ratchet-tree.ts';
import { leavesUnder } from './tree-math.ts';

const NONE = -1;

/**
 * Whether all lists of unmerged leaves are right (RFC 9420 §12.4.3.1): in ascending order, each entry is a leaf below the
 * parent that is not blank, and every parent between the two that is not blank lists the leaf too.
 */
export function areUnmergedLeavesValid({ width, leaves, parents }: RatchetTree): boolean {
  // By leaf: the highest parent so far above it that is not blank, and the highest one that lists it.
  const highest = new Int32Array(width).fill(NONE);
  const listed = new Int32Array(width).fill(NONE);
  for (let step = 2; step <= width; step *= 2) {
    for (let node = step - 1; node < 2 * width - 1; node += 2 * step) {
      const parent = parents[(node - 1) / 2];
      if (parent === undefined) continue;
      const { first, last } = leavesUnder(node);
      let before = NONE;
      for (const leaf of parent.unmergedLeaves) {
        if (leaf <= before || leaf < first || leaf > last || leaves[leaf] === undefined) return false;
        if (highest[leaf] !== NONE && listed[leaf] !== highest[leaf]) return false;
        listed[leaf] = node;
        before = leaf;
      }
      highest.fill(node, first, last + 1);
    }
  }
  return true;
}
