import type { Suite } from '../suite.ts';
import { uint32, vector } from '../vector.ts';
import { type RatchetTree, parentAt, parentNode } from './ratchet-tree.ts';
import { leavesUnder, leftOf, rightOf, rootOf } from './tree-math.ts';

/** Tree hashes of all nodes by node index (RFC 9420 §7.8). */
export type TreeHashes = readonly Buffer[];

const LEAF = 1;
const PARENT = 2;

/** Computes all tree hashes, from the leaves up: one hash for each node. */
export function treeHashes(tree: RatchetTree, suite: Suite): TreeHashes {
  const { width, leaves } = tree;
  const hashes = new Array<Buffer>(2 * width - 1);
  leaves.forEach((leaf, index) => (hashes[2 * index] = leafHash(suite, index, leaf?.bytes)));
  for (let step = 2; step <= width; step *= 2) {
    for (let node = step - 1; node < 2 * width - 1; node += 2 * step) {
      const [left, right] = [hashes[leftOf(node)] ?? Buffer.of(), hashes[rightOf(node)] ?? Buffer.of()];
      hashes[node] = parentHashOf(suite, parentAt(tree, node)?.bytes, left, right);
    }
  }
  return hashes;
}

/** The tree hash of the root: that of the GroupContext. */
export function rootHash({ width }: RatchetTree, hashes: TreeHashes): Buffer {
  return hashes[rootOf(width)] ?? Buffer.of();
}

/**
 * The tree hash of a subtree as it was without some leaves: they are blank, and no parent lists them as unmerged.
 * @param removed leaf indexes, ascending
 * @param hashes those of the whole tree
 */
export function hashWithout(
  tree: RatchetTree,
  node: number,
  removed: readonly number[],
  { suite, hashes }: { readonly suite: Suite; readonly hashes: TreeHashes },
): Buffer {
  const { first, last } = leavesUnder(node);
  const here = within(removed, first, last);
  if (here.length === 0) return hashes[node] ?? Buffer.of();
  if (node % 2 === 0) return leafHash(suite, node / 2, undefined);
  const gone = new Set(here);
  const parent = parentAt(tree, node);
  const rest =
    parent === undefined
      ? undefined
      : parentNode({ ...parent, unmergedLeaves: parent.unmergedLeaves.filter((leaf) => !gone.has(leaf)) });
  const left = hashWithout(tree, leftOf(node), here, { suite, hashes });
  const right = hashWithout(tree, rightOf(node), here, { suite, hashes });
  return parentHashOf(suite, rest?.bytes, left, right);
}

/** The part of an ascending list between two values, both included. */
export function within(ascending: readonly number[], first: number, last: number): readonly number[] {
  return ascending.slice(lowerBound(ascending, first), lowerBound(ascending, last + 1));
}

function lowerBound(ascending: readonly number[], value: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function leafHash({ hash }: Suite, index: number, leaf: Uint8Array | undefined): Buffer {
  return hash(Buffer.of(LEAF), uint32(index), optional(leaf));
}

function parentHashOf({ hash }: Suite, parent: Uint8Array | undefined, left: Buffer, right: Buffer): Buffer {
  return hash(Buffer.of(PARENT), optional(parent), vector(left), vector(right));
}

/** Encodes `optional<T>` (RFC 9420 §2.1.1). */
function optional(bytes: Uint8Array | undefined): Buffer {
  return bytes === undefined ? Buffer.of(0) : Buffer.concat([Buffer.of(1), bytes]);
}
