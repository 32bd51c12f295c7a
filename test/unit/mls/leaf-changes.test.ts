import { createHash } from 'node:crypto';
import type { ClientState } from 'ts-mls';
import { encodeLeafNode } from 'ts-mls/leafNode.js';
import { encodeRatchetTree } from 'ts-mls/ratchetTree.js';
import { expect, test } from 'vitest';
import { leafChanges } from '../../../mls/leaf-changes.ts';
import type { Leaves } from '../../../mls/tree.ts';
import { readRatchetTree } from '../../../mls/tree/ratchet-tree.ts';
import { add, localGroup, makeBundle, newKeys, removalOf } from '../../harness/mls/group.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

// A ratchet_tree extension is the vector of its nodes, which is what ts-mls encodes.
const leavesOf = (state: ClientState): Leaves => readRatchetTree(encodeRatchetTree(state.ratchetTree)).leaves;

test('the leaves that a commit adds and removes are known by the hashes of their nodes and of their signature keys', async () => {
  const { states } = await localGroup(['alice', 'bob', 'carol']);
  const alice = states.get('alice') ?? expect.unreachable();
  const before = leavesOf(alice);
  expect(leafChanges(before, before)).toEqual({});
  // An update changes the leaf of its sender, and neither adds nor removes one.
  const updated = (await makeBundle(alice)).newState;
  expect(leafChanges(before, leavesOf(updated))).toEqual({});
  const bob = before[1] ?? expect.unreachable();
  const dave = await newKeys('dave');
  const replaced = (await makeBundle(updated, [...removalOf(updated, 'bob'), add(dave)])).newState;
  const { leafNode } = dave.publicPackage;
  expect(leafChanges(leavesOf(updated), leavesOf(replaced))).toEqual({
    goneLeaves: [sha256(bob.signatureKey)],
    newLeaves: [sha256(encodeLeafNode(leafNode))],
    lostLeaves: [sha256(bob.bytes)],
    droppedUsers: [{ user: 'bob', leaves: [sha256(bob.signatureKey)] }],
  });
  expect(leafChanges(leavesOf(updated), leavesOf(replaced), ['bob'])).not.toHaveProperty('droppedUsers');
});
