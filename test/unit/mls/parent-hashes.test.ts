import { describe, expect, test } from 'vitest';
import { type Suite, suiteOf } from '../../../mls/suite.ts';
import { areParentHashesValid } from '../../../mls/tree/parent-hash.ts';
import { type RatchetTree, encodeRatchetTree, parentNode } from '../../../mls/tree/ratchet-tree.ts';
import { rootHash, treeHashes } from '../../../mls/tree/tree-hash.ts';
import { rootOf } from '../../../mls/tree/tree-math.ts';
import { areUnmergedLeavesValid } from '../../../mls/tree/unmerged-leaves.ts';
import { naiveHash, naiveParentHashesValid } from '../../harness/mls/naive-parent-hashes.ts';
import { type TreePlan, plannedTree } from '../../harness/mls/planned-tree.ts';

/** Parent hashes of any tree (RFC 9420 §7.9.2): the result is that of the RFC, and the work is bounded. */

const suite = suiteOf(1) ?? expect.unreachable();

const isValid = (tree: RatchetTree): boolean => areParentHashesValid(tree, treeHashes(tree, suite), suite);

/** The same numbers in every run. @returns whole numbers below a limit */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A tree with blank and unmerged leaves and blank parents anywhere. */
function anyPlan(random: (below: number) => number): TreePlan {
  const width = 2 ** random(7);
  const [blankLeaves, blankParents, unmerged] = [random(4), random(5), random(8)];
  const heights = Array.from({ length: width }, () => (random(8) < unmerged ? random(8) : 0));
  const leaves = Array.from({ length: width }, () => random(10) < blankLeaves);
  const parents = Array.from({ length: 2 * width - 1 }, () => random(10) < blankParents);
  return {
    width,
    isLeafBlank: (leaf) => leaves[leaf] === true,
    isParentBlank: (node) => parents[node] === true,
    unmergedTo: (leaf) => heights[leaf] ?? 0,
  };
}

/** Changes the key, the parent hash, or the last unmerged leaf of one parent. */
function spoilt(tree: RatchetTree, random: (below: number) => number): RatchetTree {
  const parents = [...tree.parents];
  const index = random(parents.length);
  const parent = parents[index];
  if (parent === undefined) return tree;
  const other = suite.hash(Buffer.from('other'));
  const { unmergedLeaves } = parent;
  const change = [{ encryptionKey: other }, { parentHash: other }, { unmergedLeaves: unmergedLeaves.slice(0, -1) }];
  parents[index] = parentNode({ ...parent, ...change[random(change.length)] });
  return { ...tree, parents };
}

describe('in 400 random trees', () => {
  const random = randomFrom(7);
  const trees = Array.from({ length: 400 }, () => plannedTree(anyPlan(random), suite));

  test('all parent hashes are right, also beside unmerged leaves', () => {
    for (const tree of trees) {
      expect(areUnmergedLeavesValid(tree)).toBe(true);
      expect(rootHash(tree, treeHashes(tree, suite))).toEqual(naiveHash(tree, rootOf(tree.width), suite));
      expect(naiveParentHashesValid(tree, suite)).toBe(true);
      expect(isValid(tree)).toBe(true);
    }
    const lists = trees.flatMap(({ parents }) => parents.map((parent) => parent?.unmergedLeaves.length ?? 0));
    expect(lists.filter((length) => length > 1).length).toBeGreaterThan(500);
  });

  test('one changed node is judged as the RFC judges it', () => {
    const verdicts = trees.flatMap((tree) => {
      const changed = spoilt(tree, random);
      if (!areUnmergedLeavesValid(changed)) return [];
      const verdict = naiveParentHashesValid(changed, suite);
      expect(isValid(changed)).toBe(verdict);
      return [verdict];
    });
    expect(verdicts.filter((verdict) => !verdict).length).toBeGreaterThan(100);
  });
});

/** The work of a check: hashes, and bytes hashed for each byte of the tree. */
function workOf(tree: RatchetTree): { readonly hashes: number; readonly bytes: number } {
  const work = { hashes: 0, bytes: 0 };
  const counted: Suite = {
    ...suite,
    hash: (...parts) => {
      work.hashes++;
      for (const part of parts) work.bytes += part.length;
      return suite.hash(...parts);
    },
  };
  expect(areUnmergedLeavesValid(tree)).toBe(true);
  expect(areParentHashesValid(tree, treeHashes(tree, counted), counted)).toBe(true);
  return work;
}

const WIDTH = 512;
const HASHES_OF_CHILDREN = 2 * 33;
/**
 * Whose parents must list other leaves on each level: an odd leaf is unmerged up to a level on which it is below a right
 * child. Below a left child, which was updated with the parent, the lists of both must be the same.
 */
function varied(width: number): TreePlan {
  const random = randomFrom(3);
  const heights = Array.from({ length: width }, (_, leaf) => {
    const levels = Array.from({ length: 32 }, (_item, level) => level).filter((level) => (leaf >> level) & 1);
    return leaf % 2 === 0 ? 0 : (levels[random(levels.length)] ?? 0);
  });
  return { width, unmergedTo: (leaf) => heights[leaf] ?? 0 };
}

describe.each<[string, (width: number) => TreePlan]>([
  ['with half of all leaves unmerged everywhere', (width) => ({ width, unmergedTo: (leaf) => (leaf % 2) * 32 })],
  ['with all leaves but one unmerged everywhere', (width) => ({ width, unmergedTo: (leaf) => (leaf === 0 ? 0 : 32) })],
  ['with other unmerged leaves on each level', varied],
  ['with no unmerged leaves', (width) => ({ width })],
  ['with one leaf', (width) => ({ width, isLeafBlank: (leaf) => leaf !== width - 1 })],
])('a tree %s', (_what, plan) => {
  test('takes three hashes for each node and two bytes for each of its bytes at most, so twice as wide twice the work', () => {
    const [tree, wider] = [plannedTree(plan(WIDTH), suite), plannedTree(plan(2 * WIDTH), suite)];
    const [work, more] = [workOf(tree), workOf(wider)];
    const nodes = 2 * WIDTH;
    // A node that is blank has an input too: its type and the hashes of its children.
    const inputs = encodeRatchetTree(tree).length + nodes * HASHES_OF_CHILDREN;
    expect(work.hashes).toBeLessThan(3 * nodes);
    expect(work.bytes).toBeLessThan(2 * inputs);
    expect(more.hashes).toBeLessThan(2.1 * work.hashes);
    expect(more.bytes).toBeLessThan(2.1 * work.bytes);
  });
});
