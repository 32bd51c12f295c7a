import { createHash } from 'node:crypto';
import type { ClientState, Extension, Proposal, RatchetTree as TsTree } from 'ts-mls';
import { createCommit, createGroup, encodeExternalSender, encodeMlsMessage } from 'ts-mls';
import { encodeRatchetTree as encodeTsTree } from 'ts-mls/ratchetTree.js';
import { verifyParentHashes } from 'ts-mls/parentHash.js';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { contextAfter } from '../../../mls/group-context.ts';
import { parseFrame } from '../../../mls/frame.ts';
import type { PublicCommit } from '../../../mls/external-commit.ts';
import type { GroupInfoFrame } from '../../../mls/frame.ts';
import { type Suite, suiteOf } from '../../../mls/suite.ts';
import { treeAfter } from '../../../mls/tree/next-tree.ts';
import { areParentHashesValid } from '../../../mls/tree/parent-hash.ts';
import { type RatchetTree, encodeRatchetTree, parentNode, readRatchetTree } from '../../../mls/tree/ratchet-tree.ts';
import { rootHash, treeHashes } from '../../../mls/tree/tree-hash.ts';
import { areUnmergedLeavesValid } from '../../../mls/tree/unmerged-leaves.ts';
import { SUITE, add, groupInfoOf, makeExternal, newKeys, wireGroupInfo } from '../../harness/mls/group.ts';

let suite: Suite;
beforeEach(() => {
  suite = suiteOf(1) ?? expect.unreachable('suite 1 is known');
});

function treeOf(tree: TsTree): RatchetTree {
  return readRatchetTree(encodeTsTree(tree));
}

function hashOf(tree: RatchetTree): Buffer {
  return rootHash(tree, treeHashes(tree, suite));
}

async function infoOf(state: ClientState): Promise<GroupInfoFrame> {
  const frame = parseFrame(Buffer.from(wireGroupInfo(await groupInfoOf(state)), 'base64'));
  if (!('wireFormat' in frame) || frame.wireFormat !== 'group_info') throw new Error('no GroupInfo');
  return frame;
}

/** A step in the life of a group: a public commit, and the states before and after it. */
interface Step {
  readonly name: string;
  readonly before: ClientState;
  readonly after: ClientState;
  /** The MLSMessage. Tests read it, not the preparation: so mutation testing knows which test reaches which line. */
  readonly commit: Uint8Array;
}

const steps: Step[] = [];

function readCommit(bytes: Uint8Array): PublicCommit {
  const frame = parseFrame(bytes);
  if (!('wireFormat' in frame) || frame.wireFormat !== 'public_message' || frame.contentType !== 'commit') {
    throw new Error('no public commit');
  }
  return frame;
}

/** Lives of one group, as ts-mls makes them: additions, removals of the right half, updates, blank and unmerged leaves. */
beforeAll(async () => {
  const own = await newKeys('u0');
  let state = await createGroup(
    crypto.getRandomValues(new Uint8Array(16)),
    own.publicPackage,
    own.privatePackage,
    [],
    SUITE,
  );
  const step = async (name: string, proposals: Proposal[]): Promise<void> => {
    const { commit, newState } = await createCommit(
      { state, cipherSuite: SUITE },
      { extraProposals: proposals, wireAsPublicMessage: true },
    );
    steps.push({ name, before: state, after: newState, commit: encodeMlsMessage(commit) });
    state = newState;
  };
  const join = async (name: string): Promise<void> => {
    const { commit, newState } = await makeExternal(await groupInfoOf(state), await newKeys(name));
    steps.push({ name: `${name} joins`, before: state, after: newState, commit: encodeMlsMessage(commit) });
    state = newState;
  };
  const adds = (...names: string[]): Promise<Proposal[]> =>
    Promise.all(names.map(async (name) => add(await newKeys(name))));
  const removes = (...leaves: number[]): Proposal[] =>
    leaves.map((removed) => ({ proposalType: 'remove', remove: { removed } }));
  await step('an update of a group of one', []);
  await step('one is added', await adds('u1'));
  await step('five are added', await adds('u2', 'u3', 'u4', 'u5', 'u6'));
  await step('an update gives keys to all parents', []);
  await join('u7');
  await step('an update of the joiner', []);
  await step('an addition doubles the tree', await adds('u8', 'u9'));
  await step('an update above leaves without parents', []);
  await step('leaves in the middle become blank', removes(2, 5));
  const senders = {
    signaturePublicKey: new Uint8Array(32),
    credential: { credentialType: 'basic', identity: Buffer.from('s') },
  } as const;
  const extensions: Extension[] = [{ extensionType: 'external_senders', extensionData: encodeExternalSender(senders) }];
  await step('the extensions change', [
    { proposalType: 'group_context_extensions', groupContextExtensions: { extensions } },
  ]);
  await step('blank leaves are filled, and are unmerged', await adds('u10', 'u11', 'u12'));
  await step('an update beside unmerged leaves', []);
  await step('removals and additions at once', [...removes(1, 6), ...(await adds('u13', 'u14', 'u15'))]);
  await step('removals halve the tree', removes(8, 9, 10, 11));
  await step('an addition doubles it again', await adds('u16'));
  const others = state.ratchetTree.flatMap((node, index) =>
    node?.nodeType === 'leaf' && index !== 14 ? [index / 2] : [],
  );
  await step('all others leave', removes(...others));
}, 60_000);

describe('in the life of a group', () => {
  test('each tree has the tree hash that ts-mls computes, and its encoding', () => {
    expect(steps).toHaveLength(16);
    for (const { name, after } of steps) {
      const tree = treeOf(after.ratchetTree);
      expect([name, hashOf(tree).toString('hex')]).toEqual([
        name,
        Buffer.from(after.groupContext.treeHash).toString('hex'),
      ]);
      expect(encodeRatchetTree(tree)).toEqual(Buffer.from(encodeTsTree(after.ratchetTree)));
    }
  });

  test('each tree has valid parent hashes and unmerged leaves, as ts-mls says too', async () => {
    for (const { name, after } of steps) {
      const tree = treeOf(after.ratchetTree);
      expect([name, await verifyParentHashes(after.ratchetTree, SUITE.hash)]).toEqual([name, true]);
      expect([name, areParentHashesValid(tree, treeHashes(tree, suite), suite)]).toEqual([name, true]);
      expect([name, areUnmergedLeavesValid(tree)]).toEqual([name, true]);
    }
  });

  test('each public commit leads from the tree and context before it to those after it', async () => {
    for (const { name, before, after, commit: bytes } of steps) {
      const commit = readCommit(bytes);
      const next = treeAfter(treeOf(before.ratchetTree), commit, suite);
      expect([name, next.isParentHashRight]).toEqual([name, true]);
      expect([name, hashOf(next.tree)]).toEqual([name, Buffer.from(after.groupContext.treeHash)]);
      const context = contextAfter(await infoOf(before), commit, { suite, treeHash: hashOf(next.tree) });
      expect([name, context]).toEqual([name, Buffer.from((await infoOf(after)).context)]);
    }
  });
});

describe('a tree that was changed is noticed', () => {
  const changed = (node: number, change: (unmerged: readonly number[]) => object): RatchetTree[] =>
    steps.flatMap(({ after }) => {
      const tree = treeOf(after.ratchetTree);
      const parent = tree.parents[node];
      if (parent === undefined) return [];
      const parents = [...tree.parents];
      parents[node] = parentNode({ ...parent, ...change(parent.unmergedLeaves) });
      return [{ ...tree, parents }];
    });

  test.each([0, 1, 3])('by its parent hashes, if a parent (number %s) has another key or parent hash', (node) => {
    const other = createHash('sha256').update('other').digest();
    const trees = [
      ...changed(node, () => ({ encryptionKey: other })),
      ...changed(node, () => ({ parentHash: other })).filter((tree) => 2 * node + 1 !== tree.width - 1),
    ];
    expect(trees.length).toBeGreaterThan(0);
    for (const tree of trees) expect(areParentHashesValid(tree, treeHashes(tree, suite), suite)).toBe(false);
  });

  test('by its unmerged leaves, if they are not in order, not below the parent, or blank', () => {
    const spoilt = [[1, 0], [0, 0], [4], [200]].flatMap((unmergedLeaves) => changed(0, () => ({ unmergedLeaves })));
    expect(spoilt.length).toBeGreaterThan(0);
    for (const tree of spoilt) expect(areUnmergedLeavesValid(tree)).toBe(false);
  });

  test('by its unmerged leaves, if a parent in between does not list one', () => {
    const spoilt = changed(1, () => ({ unmergedLeaves: [0] })).filter((tree) => tree.parents[0] !== undefined);
    expect(spoilt.length).toBeGreaterThan(0);
    for (const tree of spoilt) expect(areUnmergedLeavesValid(tree)).toBe(false);
  });
});
