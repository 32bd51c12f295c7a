import { describe, expect, test } from 'vitest';
import type { PublicCommit } from '../../../mls/external-commit.ts';
import type { LeafNode } from '../../../mls/frame.ts';
import { type Suite, suiteOf } from '../../../mls/suite.ts';
import { HashInput } from '../../../mls/tree/hash-input.ts';
import { areParentHashesValid, parentHash } from '../../../mls/tree/parent-hash.ts';
import {
  type RatchetTree,
  encodeRatchetTree,
  isEmpty,
  parentAt,
  parentNode,
  readRatchetTree,
} from '../../../mls/tree/ratchet-tree.ts';
import { isTreeKnownAfter, treeAfter } from '../../../mls/tree/next-tree.ts';
import { HashesWithout, lowerBound, rootHash, treeHashes } from '../../../mls/tree/tree-hash.ts';
import {
  directPath,
  leavesUnder,
  leftOf,
  levelOf,
  parentOf,
  rightOf,
  rootOf,
  siblingOf,
  widthFor,
} from '../../../mls/tree/tree-math.ts';
import { areUnmergedLeavesValid } from '../../../mls/tree/unmerged-leaves.ts';

/** The arithmetic of ratchet trees (RFC 9420 §7 and appendix C), with numbers that one can see in a picture. */

describe('in the tree of eight leaves of RFC 9420 appendix C', () => {
  test.each([
    [0, 0],
    [1, 1],
    [3, 2],
    [7, 3],
    [11, 2],
    [13, 1],
    [14, 0],
  ])('node %s stands at level %s', (node, level) => {
    expect(levelOf(node)).toBe(level);
  });

  test.each([
    [1, 0, 2],
    [3, 1, 5],
    [5, 4, 6],
    [7, 3, 11],
    [11, 9, 13],
    [13, 12, 14],
  ])('under node %s are %s and %s', (parent, left, right) => {
    expect([leftOf(parent), rightOf(parent)]).toEqual([left, right]);
    expect([parentOf(left), parentOf(right)]).toEqual([parent, parent]);
    expect([siblingOf(left), siblingOf(right)]).toEqual([right, left]);
  });

  test('the root is in the middle, and paths lead to it', () => {
    expect([1, 2, 4, 8].map(rootOf)).toEqual([0, 1, 3, 7]);
    expect(directPath(0, 8)).toEqual([1, 3, 7]);
    expect(directPath(5, 8)).toEqual([9, 11, 7]);
    expect(directPath(0, 1)).toEqual([]);
  });

  test('a node has the leaves under it', () => {
    expect(leavesUnder(7)).toEqual({ first: 0, last: 7 });
    expect(leavesUnder(11)).toEqual({ first: 4, last: 7 });
    expect(leavesUnder(9)).toEqual({ first: 4, last: 5 });
    expect(leavesUnder(10)).toEqual({ first: 5, last: 5 });
  });

  test('a tree is as wide as the next power of two', () => {
    expect([0, 1, 2, 3, 4, 5, 8, 9].map(widthFor)).toEqual([1, 1, 2, 4, 4, 8, 8, 16]);
  });
});

test('a value of an ascending list is found, or the place where it would be', () => {
  const list = [1, 4, 5, 9];
  expect([0, 1, 2, 4, 5, 6, 9, 10].map((value) => lowerBound(list, value))).toEqual([0, 0, 1, 1, 2, 3, 3, 4]);
  expect(lowerBound([], 3)).toBe(0);
  expect([1, 5, 9].map((value) => lowerBound(list, value, 1, 3))).toEqual([1, 2, 3]);
});

const EMPTY = new Uint8Array();
/** A leaf that differs from others in one byte. */
const leaf = (mark: number): Uint8Array => Uint8Array.of(1, 1, 1, mark, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0);
/** A tree with leaves and parents where they are given. @param parents unmerged leaves by node index */
function treeOf(
  leaves: readonly (number | undefined)[],
  parents: Readonly<Record<number, number[]>> = {},
): RatchetTree {
  const nodes: Buffer[] = [];
  for (let node = 0; node < 2 * leaves.length - 1; node++) {
    const mark = leaves[node / 2];
    const unmergedLeaves = parents[node];
    if (node % 2 === 0) nodes.push(mark === undefined ? Buffer.of(0) : Buffer.from(leaf(mark)));
    else if (unmergedLeaves === undefined) nodes.push(Buffer.of(0));
    else {
      const { bytes } = parentNode({ encryptionKey: Uint8Array.of(node), parentHash: EMPTY, unmergedLeaves });
      nodes.push(Buffer.concat([Buffer.of(1, 2), bytes]));
    }
  }
  const content = Buffer.concat(nodes);
  const length =
    content.length < 0x40 ? Buffer.of(content.length) : Buffer.of(0x40 | (content.length >> 8), content.length & 0xff);
  return readRatchetTree(Buffer.concat([length, content]));
}

describe('a ratchet tree', () => {
  test('is a full binary tree, whatever was left out at its end', () => {
    const tree = treeOf([1, 2, 3]);
    expect(tree.width).toBe(4);
    expect(tree.leaves.map((one) => one?.encryptionKey[0])).toEqual([1, 2, 3, undefined]);
    expect(tree.leaves).toHaveLength(4);
    expect(tree.parents).toEqual([undefined, undefined, undefined]);
    expect(treeOf([1])).toMatchObject({ width: 1, parents: [] });
  });

  test('is encoded without the blank nodes at its end', () => {
    const tree = treeOf([1, undefined, 3], { 1: [], 3: [0, 2] });
    const again = readRatchetTree(encodeRatchetTree(tree));
    expect(again).toEqual(tree);
    expect(parentAt(tree, 3)?.unmergedLeaves).toEqual([0, 2]);
    expect(encodeRatchetTree({ width: 1, leaves: [undefined], parents: [] })).toEqual(Buffer.of(0));
  });

  test('is empty under a node without leaves', () => {
    const tree = treeOf([1, undefined, undefined, undefined, undefined, 6]);
    expect([0, 1, 2, 3, 5, 7, 9, 10, 11].map((node) => isEmpty(tree, node))).toEqual([
      false,
      false,
      true,
      false,
      true,
      false,
      false,
      false,
      false,
    ]);
    expect(isEmpty(tree, 13)).toBe(true);
  });
});

describe('lists of unmerged leaves', () => {
  const four = [1, 2, 3, 4];
  test.each<[boolean, string, ...Parameters<typeof treeOf>]>([
    [true, 'no parents', four, {}],
    [true, 'empty lists', four, { 1: [], 3: [], 5: [] }],
    [true, 'a leaf below its parent', four, { 1: [0] }],
    [true, 'the last leaf below its parent', four, { 1: [1] }],
    [true, 'a leaf in all lists above it', four, { 1: [0], 3: [0, 3] }],
    [true, 'a leaf in the lower list only', four, { 1: [0], 3: [] }],
    [false, 'a leaf in the upper list only', four, { 1: [], 3: [0] }],
    [false, 'a leaf to the left of its parent', four, { 5: [1] }],
    [false, 'a leaf to the right of its parent', four, { 1: [2] }],
    [false, 'a leaf twice', four, { 1: [0, 0] }],
    [false, 'leaves in another order', four, { 1: [1, 0] }],
    [false, 'a blank leaf', [1, undefined, 3, 4], { 1: [1] }],
    [true, 'another leaf of a list with a gap', [...four, 5, 6, 7, 8], { 3: [2], 7: [2, 5] }],
    [false, 'a gap in the middle of three lists', [...four, 5, 6, 7, 8], { 1: [0], 3: [], 7: [0] }],
  ])('valid %s: %s', (isValid, _what, leaves, parents) => {
    expect(areUnmergedLeavesValid(treeOf(leaves, parents ?? {}))).toBe(isValid);
  });
});

describe('tree hashes (RFC 9420 §7.8)', () => {
  const suite = (): Suite => suiteOf(1) ?? expect.unreachable();
  const vector = (bytes: Buffer): Buffer => Buffer.concat([Buffer.of(bytes.length), bytes]);

  test('are those of the RFC, written out', () => {
    const { hash } = suite();
    const tree = treeOf([undefined, 2], { 1: [] });
    const [left, right] = [hash(Buffer.of(1, 0, 0, 0, 0, 0)), hash(Buffer.of(1, 0, 0, 0, 1, 1), leaf(2).subarray(2))];
    const root = hash(Buffer.of(2, 1, 1, 1, 0, 0), vector(left), vector(right));
    const hashes = treeHashes(tree, suite());
    expect(hashes).toEqual([left, root, right]);
    expect(rootHash(tree, hashes)).toEqual(root);
    const blank = treeOf([1, 2]);
    const first = hash(Buffer.of(1, 0, 0, 0, 0, 1), leaf(1).subarray(2));
    expect(rootHash(blank, treeHashes(blank, suite()))).toEqual(hash(Buffer.of(2, 0), vector(first), vector(right)));
  });

  test('without some leaves are those of the tree without them', () => {
    const tree = treeOf([1, 2, 3, 4, 5, 6, 7, 8], { 1: [1], 3: [1, 3], 7: [1, 3, 6], 5: [] });
    const without = treeOf([1, undefined, 3, undefined, 5, 6, undefined, 8], { 1: [], 3: [], 7: [], 5: [] });
    const hashes = treeHashes(tree, suite());
    const originals = (): HashesWithout => new HashesWithout(tree, hashes, new HashInput(suite()));
    const [expected, cached] = [treeHashes(without, suite()), originals()];
    for (const node of [0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 13]) {
      expect([node, cached.of(node, [1, 3, 6])]).toEqual([node, expected[node]]);
      expect([node, originals().of(node, [1, 3, 6])]).toEqual([node, expected[node]]);
    }
    expect(cached.of(7, [])).toEqual(hashes[7]);
    const one = treeOf([1, undefined, 3, 4, 5, 6, 7, 8], { 1: [], 3: [3], 7: [3, 6], 5: [] });
    expect(cached.of(7, [1])).toEqual(treeHashes(one, suite())[7]);
  });

  test('a parent hash covers key, parent hash and sibling (RFC 9420 §7.9)', () => {
    const { hash } = suite();
    const parent = { encryptionKey: Uint8Array.of(7), parentHash: Uint8Array.of(8, 8) };
    expect(parentHash(suite(), parent, Uint8Array.of(9))).toEqual(hash(Buffer.of(1, 7, 2, 8, 8, 1, 9)));
  });
});

describe('the tree after a public commit', () => {
  const suite = (): Suite => suiteOf(1) ?? expect.unreachable();
  const commitOf = (...proposals: readonly object[]): PublicCommit =>
    ({ sender: { type: 'member', leafIndex: 0 }, proposals, path: undefined, pathKeys: [] }) as object as PublicCommit;
  const addition = { type: 'add', keyPackage: { leaf: { bytes: leaf(9) } as Partial<LeafNode> as LeafNode } };
  const removal = (removed: number): object => ({ type: 'remove', removed });
  const unmergedOf = ({ parents }: RatchetTree): unknown[] => parents.map((one) => one?.unmergedLeaves);

  test.each([
    ['add', true],
    ['remove', true],
    ['psk', true],
    ['external_init', true],
    ['group_context_extensions', true],
    ['reference', false],
    ['custom', false],
    ['update', false],
    ['self_remove', false],
  ])('is known after a proposal of type %s: %s', (type, isKnown) => {
    expect(isTreeKnownAfter(commitOf({ type: 'add' }, { type }))).toBe(isKnown);
  });

  test('has new leaves in the lists of all parents above them, in order', () => {
    const before = treeOf([1, undefined, 3, 4], { 1: [], 3: [3], 5: [3] });
    const { tree, isParentHashRight } = treeAfter(before, commitOf(addition, addition), suite());
    expect(isParentHashRight).toBe(true);
    expect(tree.leaves.map((one) => one?.bytes[3])).toEqual([0, 9, 0, 0, 9, undefined, undefined, undefined]);
    expect(unmergedOf(tree)).toEqual([[1], [1, 3], [3], undefined, undefined, undefined, undefined]);
    expect(tree.parents[1]?.bytes).toEqual(
      parentNode({ encryptionKey: Uint8Array.of(3), parentHash: EMPTY, unmergedLeaves: [1, 3] }).bytes,
    );
    const both = treeAfter(treeOf([1, undefined, undefined, 4], { 3: [] }), commitOf(addition, addition), suite());
    expect(unmergedOf(both.tree)).toEqual([undefined, [1, 2], undefined]);
  });

  test('has no keys above removed leaves, and no blank right half', () => {
    const before = treeOf([1, 2, 3, 4, 5], { 1: [], 3: [], 5: [], 7: [] });
    const { tree } = treeAfter(before, commitOf(removal(1)), suite());
    expect([tree.width, ...unmergedOf(tree)]).toEqual([
      8,
      undefined,
      undefined,
      [],
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    const half = treeAfter(before, commitOf(removal(4)), suite()).tree;
    expect([half.width, ...unmergedOf(half)]).toEqual([4, [], [], []]);
    const one = treeAfter(before, commitOf(...[1, 2, 3, 4].map(removal)), suite()).tree;
    expect([one.width, one.leaves.length, one.parents.length]).toEqual([1, 1, 0]);
    const none = treeAfter(before, commitOf(...[0, 1, 2, 3, 4].map(removal)), suite()).tree;
    expect([none.width, none.leaves]).toEqual([1, [undefined]]);
  });

  test('is the same after the removal of leaves that are beyond it', () => {
    const before = treeOf([1, 2], { 1: [] });
    for (const removed of [2, 9]) {
      expect(treeAfter(before, commitOf(removal(removed)), suite()).tree).toEqual(before);
    }
  });
});

describe('parent hashes (RFC 9420 §7.9.2)', () => {
  const suite = (): Suite => suiteOf(1) ?? expect.unreachable();
  const isValid = (tree: RatchetTree): boolean => areParentHashesValid(tree, treeHashes(tree, suite()), suite());
  /** The tree in which a leaf has the parent hash of a parent whose other child has this tree hash. */
  const linked = (tree: RatchetTree, index: number, node: number, siblingHash: Uint8Array): RatchetTree => {
    const [parent, leafNode] = [parentAt(tree, node), tree.leaves[index]];
    if (parent === undefined || leafNode === undefined) throw new Error('blank');
    const link = parentHash(suite(), parent, siblingHash);
    return { ...tree, leaves: tree.leaves.with(index, { ...leafNode, parentHash: link }) };
  };
  const hashOf = (tree: RatchetTree, node: number): Uint8Array => treeHashes(tree, suite())[node] ?? EMPTY;

  test('are right where one child was updated with the parent', () => {
    const tree = treeOf([1, 2], { 1: [] });
    expect(isValid(tree)).toBe(false);
    expect(isValid(linked(tree, 0, 1, hashOf(tree, 2)))).toBe(true);
    expect(isValid(linked(tree, 1, 1, hashOf(tree, 0)))).toBe(true);
    expect(isValid(linked(tree, 0, 1, hashOf(tree, 0)))).toBe(false);
    expect(isValid(treeOf([1, 2]))).toBe(true);
    // Both at once: the links are no part of the bytes of these leaves, which a real leaf cannot have.
    expect(isValid(linked(linked(tree, 0, 1, hashOf(tree, 2)), 1, 1, hashOf(tree, 0)))).toBe(false);
  });

  test('are those of the tree without the unmerged leaves of the parent', () => {
    const tree = treeOf([1, 2, 3, 4], { 3: [1] });
    const before = treeOf([1, undefined, 3, 4], { 3: [] });
    const node = 3;
    // The left child is blank, and has two leaves: one of them is unmerged.
    expect(isValid(linked(tree, 0, node, hashOf(tree, 5)))).toBe(true);
    expect(isValid(linked(tree, 1, node, hashOf(tree, 5)))).toBe(false);
    expect(isValid(linked(treeOf([1, 2, 3, 4], { 3: [] }), 0, node, hashOf(tree, 5)))).toBe(false);
    const right = treeOf([1, 2, undefined, 4], { 3: [1] });
    const fewer = treeOf([1, undefined, undefined, 4], { 3: [] });
    expect(isValid(linked(right, 3, node, hashOf(fewer, 1)))).toBe(true);
    expect(isValid(linked(right, 3, node, hashOf(right, 1)))).toBe(false);
    expect(hashOf(before, 1)).toEqual(hashOf(fewer, 1));
  });

  test('are wrong where an unmerged leaf is blank', () => {
    const tree = treeOf([1, undefined, 3, 4], { 3: [1] });
    expect(isValid(linked(tree, 0, 3, hashOf(tree, 5)))).toBe(false);
    // As many nodes as there must be, and two of them could be the one that was updated.
    const wide = treeOf([1, undefined, 3, undefined, 5, 6, 7, 8], { 7: [1] });
    expect(isValid(linked(wide, 0, 7, hashOf(wide, 11)))).toBe(false);
  });

  test('may be in a parent, which has unmerged leaves of its own', () => {
    const linkedParent = (lower: number[], upper: number[]): RatchetTree => {
      const tree = treeOf([1, 2, 3, 4], { 1: lower, 3: upper });
      const [child, root] = [parentAt(tree, 1), parentAt(tree, 3)];
      if (child === undefined || root === undefined) throw new Error('blank');
      const link = parentHash(suite(), root, hashOf(tree, 5));
      const { bytes: _bytes, ...content } = child;
      const inner = parentNode({ ...content, parentHash: link });
      const withLink = { ...tree, parents: tree.parents.with(0, inner) };
      return linked(withLink, 0, 1, hashOf(lower.includes(1) ? treeOf([1, undefined, 3, 4]) : tree, 2));
    };
    expect(isValid(linkedParent([], []))).toBe(true);
    expect(isValid(linkedParent([1], [1]))).toBe(true);
    // The leaf was added below the parent, and is merged above it: the upper parent was updated later.
    expect(isValid(linkedParent([1], []))).toBe(false);
  });
});
