import type { ParentNode } from '../../../mls/frame.ts';
import type { Suite } from '../../../mls/suite.ts';
import { type RatchetTree, parentAt, parentNode } from '../../../mls/tree/ratchet-tree.ts';
import { leavesUnder, leftOf, rightOf } from '../../../mls/tree/tree-math.ts';
import { uint32, vector } from '../../../mls/vector.ts';

/** RFC 9420 §7.8, §7.9, word for word and without regard to cost: what the fast code must agree with. */

/** Whether every parent node is parent-hash valid (RFC 9420 §7.9.2). */
export function naiveParentHashesValid(tree: RatchetTree, suite: Suite): boolean {
  return tree.parents.every((parent, index) => {
    if (parent === undefined) return true;
    const node = 2 * index + 1;
    const updated = [leftOf(node), rightOf(node)].filter((child) => {
      const link = linkedNode(tree, parent, child);
      const sibling = child === leftOf(node) ? rightOf(node) : leftOf(node);
      const siblingHash = naiveHash(tree, sibling, suite, parent.unmergedLeaves);
      return link !== undefined && naiveParentHash(suite, parent, siblingHash).equals(parentHashIn(tree, link));
    });
    return updated.length === 1;
  });
}

/** The tree hash of a subtree as it was without some leaves. */
export function naiveHash(tree: RatchetTree, node: number, suite: Suite, removed: readonly number[] = []): Buffer {
  const gone = new Set(removed);
  const visit = (at: number): Buffer => {
    if (at % 2 === 0) {
      const leaf = gone.has(at / 2) ? undefined : tree.leaves[at / 2];
      return suite.hash(Buffer.of(1), uint32(at / 2), optional(leaf?.bytes));
    }
    const parent = parentAt(tree, at);
    const rest =
      parent && parentNode({ ...parent, unmergedLeaves: parent.unmergedLeaves.filter((leaf) => !gone.has(leaf)) });
    const [left, right] = [visit(leftOf(at)), visit(rightOf(at))];
    return suite.hash(Buffer.of(2), optional(rest?.bytes), vector(left), vector(right));
  };
  return visit(node);
}

export function naiveParentHash(
  { hash }: Suite,
  { encryptionKey, parentHash }: Pick<ParentNode, 'encryptionKey' | 'parentHash'>,
  siblingHash: Buffer,
): Buffer {
  return hash(vector(encryptionKey), vector(parentHash), vector(siblingHash));
}

/** The only node in the resolution of `child` beside the unmerged leaves of `parent`, if the resolution has these. */
export function linkedNode(
  tree: Pick<RatchetTree, 'leaves' | 'parents'>,
  parent: Pick<ParentNode, 'unmergedLeaves'>,
  child: number,
): number | undefined {
  const { first, last } = leavesUnder(child);
  const unmerged = new Set(
    parent.unmergedLeaves.filter((leaf) => leaf >= first && leaf <= last).map((leaf) => 2 * leaf),
  );
  const resolution = resolutionOf(tree, child);
  const others = resolution.filter((node) => !unmerged.has(node));
  return others.length === 1 && resolution.length === unmerged.size + 1 ? others[0] : undefined;
}

function resolutionOf(tree: Pick<RatchetTree, 'leaves' | 'parents'>, node: number): number[] {
  if (node % 2 === 0) return tree.leaves[node / 2] === undefined ? [] : [node];
  const parent = tree.parents[(node - 1) / 2];
  if (parent === undefined) return [...resolutionOf(tree, leftOf(node)), ...resolutionOf(tree, rightOf(node))];
  return [node, ...parent.unmergedLeaves.map((leaf) => 2 * leaf)];
}

function parentHashIn(tree: RatchetTree, node: number): Uint8Array {
  const field = node % 2 === 0 ? tree.leaves[node / 2]?.parentHash : parentAt(tree, node)?.parentHash;
  return field ?? Buffer.alloc(0);
}

function optional(bytes: Uint8Array | undefined): Buffer {
  return bytes === undefined ? Buffer.of(0) : Buffer.concat([Buffer.of(1), bytes]);
}
