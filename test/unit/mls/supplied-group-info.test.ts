import { type ClientState, type LeafNode, createGroup } from 'ts-mls';
import { type RatchetTree, encodeRatchetTree } from 'ts-mls/ratchetTree.js';
import { beforeAll, describe, expect, test } from 'vitest';
import { AppError } from '../../../domain/errors.ts';
import { ownerAt, readEpochFacts, type StoredGroup } from '../../../mls/stored-group.ts';
import {
  type GroupInfoInput,
  type SuppliedGroupInfo,
  checkSuppliedGroupInfo,
} from '../../../mls/supplied-group-info.ts';
import {
  type UnsignedInfo,
  bytesOf,
  infoWith,
  storedGroup,
  turned,
  withContext,
  withExtensions,
  withWholeTree,
} from '../../harness/mls/crafted-commit.ts';
import { SUITE, add, groupInfoOf, localGroup, makeBundle, newKeys, wireGroupInfo } from '../../harness/mls/group.ts';

/** What a delivery service says about a GroupInfo (docs/explanation/integrity.md), check by check. */

const USERS = ['alice', 'bob', 'carol', 'dave'];
const CHACHA = 'MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519';
const COMPLETE: SuppliedGroupInfo = { epoch: 2, cipherSuite: 1, usersInTree: USERS };

/** A group whose tree has parents with keys: alice updated. */
let alice: ClientState;
/** The same in the next epoch: erin is an unmerged leaf of the root. */
let unmerged: ClientState;
/** A group of alice alone. */
let alone: ClientState;
let honest: string;

beforeAll(async () => {
  const { states } = await localGroup(USERS);
  const first = states.get('alice') ?? expect.unreachable();
  alice = (await makeBundle(first)).newState;
  const five = (await makeBundle((await makeBundle(alice, [add(await newKeys('erin'))])).newState)).newState;
  unmerged = (await makeBundle(five, [add(await newKeys('frank'))])).newState;
  const own = await newKeys('alice');
  alone = await createGroup(
    crypto.getRandomValues(new Uint8Array(16)),
    own.publicPackage,
    own.privatePackage,
    [],
    SUITE,
  );
  honest = wireGroupInfo(await groupInfoOf(alice));
});

function check(groupInfo: string, more: Partial<Omit<GroupInfoInput, 'groupInfo'>> = {}): SuppliedGroupInfo {
  const { groupId } = alice.groupContext;
  const input = { groupId, user: 'alice', isNewGroup: false, maxTreeBytes: 1024 * 1024, ...more };
  const { signerLeaf: _name, ...facts } = checkSuppliedGroupInfo({ ...input, groupInfo: bytesOf(groupInfo) });
  return facts;
}

function refusalOf(...input: Parameters<typeof check>): readonly [code: string, detail: string] {
  try {
    throw new Error(`accepted: ${JSON.stringify(check(...input))}`);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return [error.code, error.message];
  }
}

const withTree = (change: (tree: RatchetTree) => RatchetTree, state = alice): Promise<string> =>
  infoWith(state, (info) => withWholeTree(info, change(state.ratchetTree)));

/** The tree with another leaf. @param index leaf index */
function withLeaf(tree: RatchetTree, index: number, change: (leaf: LeafNode) => LeafNode): RatchetTree {
  const node = tree[2 * index];
  if (node?.nodeType !== 'leaf') throw new Error('no leaf');
  return tree.with(2 * index, { nodeType: 'leaf', leaf: change(node.leaf) });
}

/** The tree with another parent in the place of its first one that is not blank, or at a node index. */
function withParent(
  tree: RatchetTree,
  change: object,
  at = tree.findIndex((node) => node?.nodeType === 'parent'),
): RatchetTree {
  const node = tree[at];
  if (node?.nodeType !== 'parent') throw new Error('no parent');
  return tree.with(at, { nodeType: 'parent', parent: { ...node.parent, ...change } });
}

const leafOf = (tree: RatchetTree, index: number): LeafNode => {
  const node = tree[2 * index];
  if (node?.nodeType !== 'leaf') throw new Error('no leaf');
  return node.leaf;
};

const forged = (leaf: LeafNode): LeafNode => ({
  ...leaf,
  signature: leaf.signature.map((byte, i) => (i === 5 ? byte ^ 1 : byte)),
});

describe('a GroupInfo is accepted', () => {
  test('with its users and cipher suite, if all in it is right', () => {
    expect(check(honest)).toStrictEqual(COMPLETE);
    expect(check(honest, { isNewGroup: true })).toStrictEqual(COMPLETE);
  });

  test('with leaves that do not know the keys of all parents', async () => {
    const { usersInTree } = check(wireGroupInfo(await groupInfoOf(unmerged)));
    expect(usersInTree).toEqual([...USERS, 'erin', 'frank']);
  });

  test('of a new group', async () => {
    const info = wireGroupInfo(await groupInfoOf(alone));
    expect(check(info, { groupId: alone.groupContext.groupId, isNewGroup: true })).toStrictEqual({
      epoch: 0,
      cipherSuite: 1,
      usersInTree: ['alice'],
    });
  });

  test('with two devices of a user, who is named once, in order', async () => {
    const { newState } = await makeBundle(alice, [add(await newKeys('dave')), add(await newKeys('amy'))]);
    const { usersInTree } = check(wireGroupInfo(await groupInfoOf(newState)));
    expect(usersInTree).toEqual(['alice', 'amy', 'bob', 'carol', 'dave']);
  });

  test('without what it lacks, which is named', async () => {
    const noKey = await infoWith(alice, (info) => withExtensions(info, 'external_pub'));
    const noTree = wireGroupInfo(await groupInfoOf(alice, { tree: false }));
    const neither = await infoWith(alice, (info) =>
      withExtensions(withExtensions(info, 'external_pub'), 'ratchet_tree'),
    );
    expect(check(noKey)).toStrictEqual({ ...COMPLETE, lacks: ['external_pub'] });
    expect(check(noTree)).toStrictEqual({ epoch: 2, lacks: ['ratchet_tree'] });
    expect(check(neither)).toStrictEqual({ epoch: 2, lacks: ['external_pub', 'ratchet_tree'] });
  });

  test.each([
    ['is not known', 0xf000],
    ['has signatures that the service cannot verify', 85],
  ])('with the users in its tree, if its cipher suite %s', async (_why, suite) => {
    const info = bytesOf(await infoWith(alice, (one) => withExtensions(one, 'external_pub')));
    // Version and wire format of the message, then version and cipher suite of the GroupContext.
    info.writeUInt16BE(suite, 6);
    const lacks = suite === 85 ? ['external_pub', 'cipher_suite'] : ['cipher_suite'];
    expect(check(info.toString('base64'))).toStrictEqual({ epoch: 2, lacks, usersInTree: USERS });
  });

  test('unread, where the service reads no trees', async () => {
    const noise = await infoWith(alice, (info) => withExtensions(info, 'ratchet_tree', Buffer.from('noise')));
    expect(check(noise, { maxTreeBytes: 0 })).toStrictEqual({ epoch: 2 });
  });

  test('without its tree, if the tree is above the limit', () => {
    const size = encodeRatchetTree(alice.ratchetTree).length;
    expect(check(honest, { maxTreeBytes: size })).toStrictEqual(COMPLETE);
    expect(check(honest, { maxTreeBytes: size - 1 })).toStrictEqual({ epoch: 2, lacks: ['ratchet_tree'] });
  });

  test('of a new group with a key for external commits that lacks its length', async () => {
    const bare = await infoWith(alice, (info) => {
      const { extensionData = new Uint8Array() } =
        info.extensions.find(({ extensionType }) => extensionType === 'external_pub') ?? {};
      return withExtensions(info, 'external_pub', extensionData.subarray(1));
    });
    expect(check(bare, { isNewGroup: true })).toStrictEqual(COMPLETE);
    expect(refusalOf(bare)).toEqual([
      'group-info-mismatch',
      'external_pub in the GroupInfo is not a public key of the cipher suite',
    ]);
  });
});

describe('a GroupInfo is refused', () => {
  const noKey = 'external_pub in the GroupInfo is not a public key of the cipher suite';
  const key = new Uint8Array(32).fill(9);
  test.each<[lie: string, code: string, detail: string, (info: UnsignedInfo) => UnsignedInfo | Promise<UnsignedInfo>]>([
    [
      'with two trees',
      'malformed',
      'The GroupInfo has two ratchet trees',
      (info) => withExtensions(info, 'ratchet_tree', Uint8Array.of(0), Uint8Array.of(0)),
    ],
    [
      'with a tree of noise',
      'malformed',
      'The ratchet tree in the GroupInfo is not valid: unknown node type at byte 3',
      (info) => withExtensions(info, 'ratchet_tree', Uint8Array.of(2, 1, 9)),
    ],
    [
      'with two keys for external commits',
      'malformed',
      'The GroupInfo has two keys for external commits',
      (info) => withExtensions(info, 'external_pub', Uint8Array.of(32, ...key), Uint8Array.of(32, ...key)),
    ],
    [
      'with an external_pub of two bytes',
      'group-info-mismatch',
      noKey,
      (info) => withExtensions(info, 'external_pub', Uint8Array.of(2, 1, 1)),
    ],
    [
      'with an external_pub of low order',
      'group-info-mismatch',
      noKey,
      (info) => withExtensions(info, 'external_pub', Uint8Array.of(32, ...new Uint8Array(32))),
    ],
    [
      'with bytes after its external_pub',
      'group-info-mismatch',
      noKey,
      (info) => withExtensions(info, 'external_pub', Uint8Array.of(32, ...key, 0)),
    ],
    [
      'with an external_pub that is longer than its extension',
      'group-info-mismatch',
      noKey,
      (info) => withExtensions(info, 'external_pub', Uint8Array.of(33, ...key)),
    ],
    [
      'whose signer has no leaf',
      'group-info-mismatch',
      'The leaf that signed the GroupInfo is not in its ratchet tree',
      (info) => ({ ...info, signer: 7 }),
    ],
    [
      'that another leaf must have signed',
      'group-info-mismatch',
      'The signature of the GroupInfo is not valid',
      (info) => ({ ...info, signer: 1 }),
    ],
    [
      'with another tree hash',
      'group-info-mismatch',
      'The ratchet tree does not have the tree hash of the GroupInfo',
      (info) => withContext(info, { treeHash: new Uint8Array(32) }),
    ],
    [
      'of an epoch beyond all numbers',
      'epoch-ahead',
      'The epoch is ahead of the conversation',
      (info) => withContext(info, { epoch: 2n ** 60n }),
    ],
    [
      'of another group',
      'wrong-group',
      'The GroupInfo belongs to another group',
      (info) => withContext(info, { groupId: new Uint8Array(16) }),
    ],
  ])('%s', async (_lie, code, detail, change) => {
    expect(refusalOf(await infoWith(alice, change))).toEqual([code, detail]);
  });

  test.each<[lie: string, code: string, detail: string, (tree: RatchetTree) => RatchetTree | Promise<RatchetTree>]>([
    [
      'that names no user',
      'membership-mismatch',
      'A leaf of the ratchet tree does not name a user',
      (tree) =>
        withLeaf(tree, 2, (leaf) => ({
          ...leaf,
          credential: { credentialType: 'basic', identity: Uint8Array.of(0xff) },
        })),
    ],
    [
      'with the signature key of another leaf',
      'membership-mismatch',
      'Two leaves of the ratchet tree have the same key',
      (tree) => withLeaf(tree, 2, (leaf) => ({ ...leaf, signaturePublicKey: leafOf(tree, 1).signaturePublicKey })),
    ],
    [
      'with the encryption key of another leaf',
      'membership-mismatch',
      'Two leaves of the ratchet tree have the same key',
      (tree) => withLeaf(tree, 2, (leaf) => ({ ...leaf, hpkePublicKey: leafOf(tree, 1).hpkePublicKey })),
    ],
    [
      'with another signature',
      'group-info-mismatch',
      'The signature of leaf 1 is not valid',
      // Not below the parents with keys.
      (tree) => withLeaf(tree, 1, forged),
    ],
  ])('with a leaf %s', async (_lie, code, detail, change) => {
    const first = (await localGroup(USERS)).states.get('alice') ?? expect.unreachable();
    const tree = await change(first.ratchetTree);
    const info = await infoWith(first, (one) => withWholeTree(one, tree));
    expect(refusalOf(info, { groupId: first.groupContext.groupId })).toEqual([code, detail]);
  });

  test('with a parent that has the key of a leaf, another key, another parent hash, or other unmerged leaves', async () => {
    const root = 3;
    const sameKey = await withTree((tree) => withParent(tree, { hpkePublicKey: leafOf(tree, 1).hpkePublicKey }));
    expect(refusalOf(sameKey)).toEqual(['group-info-mismatch', 'Two nodes of the ratchet tree have the same key']);
    const wrong = ['group-info-mismatch', 'A parent hash in the ratchet tree is not right'];
    expect(refusalOf(await withTree((tree) => withParent(tree, { hpkePublicKey: key })))).toEqual(wrong);
    expect(refusalOf(await withTree((tree) => withParent(tree, { parentHash: key })))).toEqual(wrong);
    expect(refusalOf(await withTree((tree) => withParent(tree, { hpkePublicKey: key }, root)))).toEqual(wrong);
    const unsorted = ['group-info-mismatch', 'A list of unmerged leaves in the ratchet tree is not right'];
    expect(refusalOf(await withTree((tree) => withParent(tree, { unmergedLeaves: [3] })))).toEqual(unsorted);
  });

  test('that a leaf of somebody else signed', () => {
    expect(refusalOf(honest, { user: 'bob' })).toEqual([
      'identity-mismatch',
      'The GroupInfo must be signed by a leaf of yours',
    ]);
  });

  test('with another signature', () => {
    expect(refusalOf(turned(honest, 1))).toEqual([
      'group-info-mismatch',
      'The signature of the GroupInfo is not valid',
    ]);
  });

  test('at epoch 0 with a transcript hash', async () => {
    const wrong = await infoWith(alone, (info) => withContext(info, { confirmedTranscriptHash: key }));
    expect(refusalOf(wrong, { groupId: alone.groupContext.groupId })).toEqual([
      'group-info-mismatch',
      'At epoch 0 the confirmed transcript hash must be empty',
    ]);
  });

  test('with an epoch beyond all numbers, which the problem names', async () => {
    const far = await infoWith(alice, (info) => withContext(info, { epoch: 2n ** 60n }));
    expect(() => check(far)).toThrow(expect.objectContaining({ details: { submittedEpoch: 2 ** 60 } }));
  });

  test('that is something else', async () => {
    const { body } = await makeBundle(alice);
    expect(refusalOf(body.commit)).toEqual(['group-info-mismatch', 'The groupInfo field does not contain a GroupInfo']);
    expect(refusalOf('AAA=')).toEqual([
      'malformed',
      'The GroupInfo is not a valid MLSMessage: protocol version is not mls10 at byte 2',
    ]);
  });
});

describe('beside the stored GroupInfo of the same epoch', () => {
  const stored = (more: Partial<StoredGroup> = {}): StoredGroup => storedGroup(alice, honest, more);
  const bare = async (): Promise<string> => wireGroupInfo(await groupInfoOf(alice, { tree: false }));

  test('a GroupInfo without a tree has that of the stored one, if the tree hash is the same', async () => {
    const computedTree = Buffer.from(encodeRatchetTree(alice.ratchetTree));
    expect(check(await bare(), { stored: stored() })).toStrictEqual({
      ...COMPLETE,
      computedTree,
      isContextProven: true,
    });
    expect(check(await bare(), { stored: stored({ isProven: false }) })).toStrictEqual({ ...COMPLETE, computedTree });
    expect(check(await bare(), { stored: stored({ epoch: 1 }) })).toStrictEqual({ epoch: 2, lacks: ['ratchet_tree'] });
    const other = await infoWith(alice, (info) =>
      withContext(withExtensions(info, 'ratchet_tree'), { treeHash: new Uint8Array(32) }),
    );
    expect(check(other, { stored: stored({ isProven: false }) })).toStrictEqual({ epoch: 2, lacks: ['ratchet_tree'] });
  });

  test('a GroupInfo has no tree, if the stored one is of an unknown cipher suite', async () => {
    const unknown = bytesOf(honest);
    unknown.writeUInt16BE(0xf000, 6);
    const at = { stored: stored({ isProven: false, groupInfo: unknown }) };
    expect(check(await bare(), at)).toStrictEqual({ epoch: 2, lacks: ['ratchet_tree'] });
  });

  test('a GroupInfo is proven if the context is the same, and refused if it is another one', async () => {
    expect(check(honest, { stored: stored() })).toStrictEqual({ ...COMPLETE, isContextProven: true });
    expect(check(honest, { stored: stored({ isProven: false }) })).toStrictEqual(COMPLETE);
    const other = await infoWith(alice, (info) => withContext(info, { confirmedTranscriptHash: new Uint8Array(32) }));
    expect(refusalOf(other, { stored: stored() })).toEqual([
      'group-info-mismatch',
      'The GroupInfo is not the state of the group in this epoch',
    ]);
    expect(check(other, { stored: stored({ isProven: false }) })).toStrictEqual(COMPLETE);
  });

  test('a GroupInfo that lacks a tree proves nothing', async () => {
    const tree = encodeRatchetTree((await localGroup(['alice'])).states.get('alice')?.ratchetTree ?? []);
    expect(check(await bare(), { stored: stored({ tree }) })).toStrictEqual({ epoch: 2, lacks: ['ratchet_tree'] });
  });

  test('leaves that were checked there are not verified again, others are', async () => {
    const first = (await localGroup(USERS)).states.get('alice') ?? expect.unreachable();
    const tree = withLeaf(first.ratchetTree, 1, forged);
    const info = await infoWith(first, (one) => withWholeTree(one, tree));
    const at = (more: Partial<StoredGroup>): Partial<GroupInfoInput> => ({
      groupId: first.groupContext.groupId,
      stored: storedGroup(first, info, more),
    });
    expect(check(info, at({ isProven: false }))).toMatchObject({ cipherSuite: 1 });
    const refused = ['group-info-mismatch', 'The signature of leaf 1 is not valid'];
    expect(refusalOf(info, at({ isProven: false, isChecked: false }))).toEqual(refused);
    const original = wireGroupInfo(await groupInfoOf(first));
    expect(refusalOf(info, at({ isProven: false, groupInfo: bytesOf(original) }))).toEqual(refused);
    const suite = await infoWith(first, async (one) =>
      withContext(await withWholeTree(one, tree), { cipherSuite: CHACHA }),
    );
    expect(refusalOf(info, at({ isProven: false, groupInfo: bytesOf(suite) }))).toEqual(refused);
  });
});

describe('readEpochFacts', () => {
  test('gives the owners of leaves and their keys, the context and the cipher suite', async () => {
    const { newState } = await makeBundle(alice, [{ proposalType: 'remove', remove: { removed: 1 } }]);
    const info = await groupInfoOf(newState);
    const facts = readEpochFacts(storedGroup(newState, wireGroupInfo(info)), 1024 * 1024) ?? expect.unreachable();
    const owner = (user: string, index: number): object => ({
      user,
      signatureKey: Buffer.from(leafOf(newState.ratchetTree, index).signaturePublicKey),
    });
    expect(facts).toMatchObject({ cipherSuite: 1, isProven: true });
    expect([0, 1, 2, 3, 4].map((index) => ownerAt(facts, index))).toEqual([
      owner('alice', 0),
      undefined,
      owner('carol', 2),
      owner('dave', 3),
      undefined,
    ]);
    const bytes = bytesOf(wireGroupInfo(info));
    expect(Buffer.from(facts.context)).toEqual(bytes.subarray(4, 4 + facts.context.length));
    // Copies, so that the GroupInfo does not travel along.
    expect(facts.context.buffer.byteLength).toBe(facts.context.length);
    expect(facts.keys.length).toBe(3 * 32);
  });

  test('gives leaves without a user too', async () => {
    const tree = withLeaf(alice.ratchetTree, 2, (leaf) => ({
      ...leaf,
      credential: { credentialType: 'basic', identity: Uint8Array.of(0xff) },
    }));
    const info = await infoWith(alice, (one) => withWholeTree(one, tree));
    const facts = readEpochFacts(storedGroup(alice, info), 1024 * 1024);
    expect(facts?.users).toEqual(['alice', 'bob', null, 'dave']);
  });

  test('calls a context proven that a checked GroupInfo of a creator alone gives, and no other', async () => {
    const at = (state: ClientState, groupInfo: string, more: Partial<StoredGroup>): boolean | undefined =>
      readEpochFacts(storedGroup(state, groupInfo, { isProven: false, ...more }), 1024 * 1024)?.isProven;
    const created = wireGroupInfo(await groupInfoOf(alone));
    expect(at(alone, created, {})).toBe(true);
    expect(at(alone, created, { isChecked: false })).toBe(false);
    expect(at(alone, created, { epoch: 1 })).toBe(false);
    expect(at(alone, created, { isChecked: false, isProven: true })).toBe(true);
    // Blank leaves are nobody.
    const tree = encodeRatchetTree([undefined, undefined, alone.ratchetTree[0]]);
    expect(at(alone, created, { tree })).toBe(true);
    const two = (await localGroup(['alice', 'bob'])).states.get('alice') ?? expect.unreachable();
    expect(at(two, wireGroupInfo(await groupInfoOf(two)), { epoch: 0 })).toBe(false);
  });

  test('gives nothing without a tree', async () => {
    const bare = wireGroupInfo(await groupInfoOf(alice, { tree: false }));
    expect(readEpochFacts(storedGroup(alice, bare), 1024 * 1024)).toBeUndefined();
  });
});
