import type { ParentNode } from '../frame.ts';
import type { Suite } from '../suite.ts';
import { HashInput } from './hash-input.ts';
import { type RatchetTree, parentAt } from './ratchet-tree.ts';
import { leavesUnder, leftOf, rightOf, rootOf } from './tree-math.ts';

/** Tree hashes of all nodes by node index (RFC 9420 §7.8). */
export type TreeHashes = readonly Buffer[];

const LEAF = 1;
const PARENT = 2;
const NO_HASH: Buffer = Buffer.alloc(0);

/** Computes all tree hashes, from the leaves up: one hash for each node. */
export function treeHashes(tree: RatchetTree, suite: Suite): TreeHashes {
  const { width, leaves } = tree;
  const input = new HashInput(suite);
  const hashes = new Array<Buffer>(2 * width - 1).fill(NO_HASH);
  for (let leaf = 0; leaf < width; leaf++) hashes[2 * leaf] = leafHash(input, leaf, leaves[leaf]?.bytes);
  for (let step = 2; step <= width; step *= 2) {
    for (let node = step - 1; node < 2 * width - 1; node += 2 * step) {
      input.uint8(PARENT).optional(parentAt(tree, node)?.bytes);
      // The children are half a step away.
      hashes[node] = withChildren(input, hashes[node - step / 2], hashes[node + step / 2]);
    }
  }
  return hashes;
}

/** The tree hash of the root: that of the GroupContext. */
export function rootHash({ width }: RatchetTree, hashes: TreeHashes): Buffer {
  return hashes[rootOf(width)] ?? NO_HASH;
}

/** Tree hashes of subtrees as they were without some leaves: these are blank, and no parent lists them as unmerged. */
export class HashesWithout {
  private readonly tree: RatchetTree;
  private readonly hashes: TreeHashes;
  private readonly input: HashInput;
  /** The last hash of each node, and how many leaves under the node it is without. 0 = there is none yet. */
  private readonly last: (Buffer | undefined)[];
  private readonly lastCount: Int32Array;

  /** @param hashes those of the whole tree */
  constructor(tree: RatchetTree, hashes: TreeHashes, input: HashInput) {
    this.tree = tree;
    this.hashes = hashes;
    this.input = input;
    this.last = new Array<undefined>(2 * tree.width - 1);
    this.lastCount = new Int32Array(2 * tree.width - 1);
  }

  /**
   * Hashes only nodes above leaves that are removed. With no such leaf under the node it is the hash of the whole tree.
   * Of two lists for the same node, one has all leaves under the node that the other has. The lists of parents above each
   * other are so (RFC 9420 §12.4.3.1). So equal numbers of leaves mean equal leaves, and their hash is not computed again.
   * @param removed leaf indexes, ascending
   */
  of(node: number, removed: readonly number[]): Buffer {
    const { first, last } = leavesUnder(node);
    return this.without(node, removed, lowerBound(removed, first), lowerBound(removed, last + 1));
  }

  /** @param from first index in `removed` of a leaf under the node @param to the index after the last one */
  private without(node: number, removed: readonly number[], from: number, to: number): Buffer {
    const count = to - from;
    if (count === 0) return this.hashes[node] ?? NO_HASH;
    const known = this.last[node];
    if (known !== undefined && this.lastCount[node] === count) return known;
    const hash = this.compute(node, removed, from, to);
    this.last[node] = hash;
    this.lastCount[node] = count;
    return hash;
  }

  private compute(node: number, removed: readonly number[], from: number, to: number): Buffer {
    if (node % 2 === 0) return leafHash(this.input, node / 2, undefined);
    // The first leaf to the right of the node has half of the next node index.
    const middle = lowerBound(removed, (node + 1) / 2, from, to);
    const left = this.without(leftOf(node), removed, from, middle);
    const right = this.without(rightOf(node), removed, middle, to);
    const parent = parentAt(this.tree, node);
    this.input.uint8(PARENT);
    if (parent === undefined) this.input.uint8(0);
    else writeParent(this.input.uint8(1), parent, removed, from, to);
    return withChildren(this.input, left, right);
  }
}

/** A ParentNode (RFC 9420 §7.1) without some of its unmerged leaves. Both lists ascend. */
function writeParent(
  input: HashInput,
  { encryptionKey, parentHash, unmergedLeaves }: ParentNode,
  removed: readonly number[],
  from: number,
  to: number,
): void {
  input.vector(encryptionKey).vector(parentHash);
  const rest = withoutAll(unmergedLeaves, removed, from, to);
  input.vectorLength(4 * rest.length);
  for (const leaf of rest) input.uint32(leaf);
}

function withoutAll(leaves: readonly number[], removed: readonly number[], from: number, to: number): number[] {
  let at = from;
  return leaves.filter((leaf) => {
    while (at < to && (removed[at] ?? 0) < leaf) at++;
    return at >= to || removed[at] !== leaf;
  });
}

/** The first index in a part of an ascending list whose element is not less than a value; the end if there is none. */
export function lowerBound(ascending: readonly number[], value: number, from = 0, to = ascending.length): number {
  let [low, high] = [from, to];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function leafHash(input: HashInput, index: number, leaf: Uint8Array | undefined): Buffer {
  return input.uint8(LEAF).uint32(index).optional(leaf).digest();
}

function withChildren(input: HashInput, left = NO_HASH, right = NO_HASH): Buffer {
  return input.vector(left).vector(right).digest();
}
