import { type CiphersuiteName, type ClientState, type Proposal, createProposal } from 'ts-mls';
import { encodeRatchetTree } from 'ts-mls/ratchetTree.js';
import { makeKeyPackageRef } from 'ts-mls/keyPackage.js';
import { beforeAll, describe, expect, test } from 'vitest';
import { type CommitBundleFacts, type CommitBundleInput, checkCommitBundle } from '../../../mls/commit-bundle.ts';
import { type ExternalCommit, checkJoiner } from '../../../mls/external-commit.ts';
import type { StoredGroup } from '../../../mls/stored-group.ts';
import {
  type CommitContent,
  altered,
  alteredAndSigned,
  bundleInput,
  bytesOf,
  infoWith,
  storedGroup,
  turned,
  withContext,
  withExtensions,
  withParentHash,
} from '../../harness/mls/crafted-commit.ts';
import {
  type Bundle,
  type Keys,
  SUITE,
  add,
  groupInfoOf,
  leafIndexes,
  localGroup,
  makeBundle,
  makeExternal,
  newKeys,
  removalOf,
  wire,
  wireGroupInfo,
} from '../../harness/mls/group.ts';

/** What a delivery service says about a commit bundle (docs/explanation/integrity.md), check by check. */

const EPOCH = 1;
const USERS = ['alice', 'bob', 'carol', 'dave'];

let alice: ClientState;
let bob: ClientState;
let erin: Keys;
let erinRef: string;
let stored: StoredGroup;
/** Commits of alice in this epoch, and of erin, who joins. */
let update: Bundle;
let hidden: Bundle;
let adding: Bundle;
let joining: Bundle;

const refOf = async (keys: Keys): Promise<string> =>
  Buffer.from(await makeKeyPackageRef(keys.publicPackage, SUITE.hash)).toString('hex');
const publicly = (proposals: readonly Proposal[] = [], options: { tree?: boolean } = {}): Promise<Bundle> =>
  makeBundle(alice, proposals, { isPublic: true, ...options });

beforeAll(async () => {
  const { states } = await localGroup(USERS);
  alice = states.get('alice') ?? expect.unreachable();
  bob = states.get('bob') ?? expect.unreachable();
  erin = await newKeys('erin');
  erinRef = await refOf(erin);
  const info = await groupInfoOf(alice);
  stored = storedGroup(alice, wireGroupInfo(info));
  update = await publicly();
  hidden = await makeBundle(alice);
  adding = await publicly([add(erin)]);
  joining = await makeExternal(info, erin);
});

type Body = Partial<Bundle['body']>;
type Request = Partial<Omit<CommitBundleInput, 'commit' | 'welcome' | 'groupInfo'>>;

function check(body: Body, request: Request = {}): ReturnType<typeof checkCommitBundle> {
  const { groupId } = alice.groupContext;
  const input = bundleInput(body, { groupId, user: 'alice', currentEpoch: EPOCH, stored, ...request });
  const { outcome, ...result } = checkCommitBundle(input);
  if ('refusal' in outcome) return { ...result, outcome };
  // test/unit/mls/leaf-changes.test.ts is about these.
  const {
    signerLeaf: _signer,
    goneLeaves: _gone,
    newLeaves: _new,
    leavesOfOthers: _others,
    droppedUsers: _dropped,
    lostLeaves: _lost,
    ...facts
  } = outcome.facts;
  return { ...result, outcome: { facts } };
}

function factsOf(body: Body, request: Request = {}): CommitBundleFacts {
  const { outcome } = check(body, request);
  if ('refusal' in outcome) throw new Error(`refused: ${outcome.refusal.code}, ${outcome.refusal.detail}`);
  return outcome.facts;
}

function refusalOf(body: Body, request: Request = {}): readonly [code: string, detail: string] {
  const { outcome } = check(body, request);
  if (!('refusal' in outcome)) throw new Error(`accepted: ${JSON.stringify(outcome.facts)}`);
  return [outcome.refusal.code, outcome.refusal.detail];
}

const unproven = (): Request => ({ stored: { ...stored, isProven: false } });
/** What every commit with a complete GroupInfo shows. */
const complete = (...users: string[]): CommitBundleFacts => ({
  cipherSuite: 1,
  isGroupInfoChecked: true,
  usersInTree: users,
});

describe('a commit that nobody can read', () => {
  test('may be of a later epoch: there is nothing to check against the tree', () => {
    expect(factsOf(hidden.body, { currentEpoch: 0 })).toStrictEqual(complete(...USERS));
  });

  test('shows nothing', () => {
    const { commit } = hidden.body;
    expect(check({ commit })).toStrictEqual({ framing: { epoch: 1 }, isExternal: false, outcome: { facts: {} } });
  });

  test('with a GroupInfo shows the users in its tree and its cipher suite', () => {
    expect(factsOf(hidden.body)).toStrictEqual(complete(...USERS));
  });

  test('with a GroupInfo that has no tree shows that it lacks one, whatever the service stores', async () => {
    const { body } = await makeBundle(alice, [], { tree: false });
    expect(factsOf(body)).toStrictEqual({ cipherSuite: 1, lacks: ['ratchet_tree'] });
  });

  test('with a Welcome shows the key packages that it names', async () => {
    const { body } = await makeBundle(alice, [add(erin)]);
    const { commit, welcome = '' } = body;
    expect(factsOf({ commit, welcome }, { adds: ['erin'] })).toStrictEqual({ cipherSuite: 1, welcomeRefs: [erinRef] });
    // What a request adds is not in such a commit.
    expect(factsOf({ commit, welcome })).toStrictEqual({ cipherSuite: 1, welcomeRefs: [erinRef] });
  });
});

describe('a public commit of a member', () => {
  /** A stored group whose tree has a blank leaf, and one whose tree has a leaf that names no user. */
  const next = async (...proposals: Proposal[]): Promise<[ClientState, Request]> => {
    const { newState } = await publicly(proposals);
    return [newState, { stored: storedGroup(newState, wireGroupInfo(await groupInfoOf(newState))), currentEpoch: 2 }];
  };

  test('that removes a leaf without a user takes nothing from anybody', async () => {
    const [state, request] = await next(add(await newKeys('nobody', Uint8Array.of(0xff))));
    const { commit } = (
      await makeBundle(state, [{ proposalType: 'remove', remove: { removed: 4 } }], { isPublic: true })
    ).body;
    expect(factsOf({ commit }, request)).toStrictEqual({ isVerified: true });
  });

  test('that changes the extensions and more leads to the context with the new ones', async () => {
    const changes: Proposal = {
      proposalType: 'group_context_extensions',
      groupContextExtensions: { extensions: [{ extensionType: 'application_id', extensionData: Uint8Array.of(7) }] },
    };
    const { body } = await publicly([changes, add(erin)]);
    expect(factsOf(body, { adds: ['erin'] })).toMatchObject({ isVerified: true, isContextProven: true });
  });

  test('proves no context with a tree that is above the limit', () => {
    const maxTreeBytes = encodeRatchetTree(alice.ratchetTree).length;
    const { commit, groupInfo } = adding.body;
    expect(factsOf({ commit, groupInfo }, { adds: ['erin'], maxTreeBytes })).toStrictEqual({
      cipherSuite: 1,
      consumedRefs: [erinRef],
      isVerified: true,
      lacks: ['ratchet_tree'],
    });
  });

  test('may add key packages of a suite that the service does not know, whose references it cannot compute', () => {
    const other = altered(adding.commit, (content) => ({
      ...content,
      proposals: content.proposals.map((one) => inOtherSuite(one, '61440' as CiphersuiteName)),
    }));
    const welcome = inSuite(adding.body.welcome ?? '', 4, 0xf000);
    const request = { adds: ['erin'], stored: undefined };
    expect(factsOf({ commit: other }, request)).toStrictEqual({ cipherSuite: 0xf000, isVerified: false });
    expect(factsOf({ commit: other, welcome }, request)).toStrictEqual({
      cipherSuite: 0xf000,
      isVerified: false,
      welcomeRefs: [erinRef],
    });
  });

  test('that adds one openly and another by reference may add anybody too', async () => {
    const { newState } = await createProposal(alice, true, add(erin), SUITE);
    const { body } = await makeBundle(newState, [add(await newKeys('frank'))], { isPublic: true });
    const { usersInTree } = factsOf(body, { adds: ['erin', 'frank'] });
    expect(usersInTree).toEqual(['alice', 'bob', 'carol', 'dave', 'erin', 'frank']);
  });

  test('is verified, and proves the context after it, where the context before it is proven', () => {
    expect(check(update.body)).toStrictEqual({
      framing: { epoch: 1 },
      isExternal: false,
      outcome: { facts: { ...complete(...USERS), isVerified: true, isContextProven: true } },
    });
  });

  test('is not verified elsewhere, and proves nothing', () => {
    expect(factsOf(update.body, unproven())).toStrictEqual({ ...complete(...USERS), isVerified: false });
  });

  test('may come without a GroupInfo', () => {
    const { commit } = update.body;
    expect(factsOf({ commit })).toStrictEqual({ isVerified: true });
    expect(factsOf({ commit }, unproven())).toStrictEqual({ isVerified: false });
    expect(factsOf({ commit }, { stored: undefined })).toStrictEqual({ isVerified: false });
  });

  test('gives the tree that its GroupInfo leaves out, if the tree hash is that of the GroupInfo', async () => {
    const bare = await publicly([], { tree: false });
    const computedTree = Buffer.from(encodeRatchetTree(bare.newState.ratchetTree));
    const facts = { ...complete(...USERS), isVerified: true, isContextProven: true, computedTree };
    expect(factsOf(bare.body)).toStrictEqual(facts);
    const { isContextProven: _proven, ...others } = facts;
    expect(factsOf(bare.body, unproven())).toStrictEqual({ ...others, isVerified: false });
    const groupInfo = await infoWith(bare.newState, (info) =>
      withContext(withExtensions(info, 'ratchet_tree'), { treeHash: new Uint8Array(32) }),
    );
    expect(factsOf({ ...bare.body, groupInfo }, unproven())).toStrictEqual({
      cipherSuite: 1,
      isVerified: false,
      lacks: ['ratchet_tree'],
    });
  });

  test('that adds somebody names the key package, with a Welcome or without', () => {
    const { welcome: _welcome, ...without } = adding.body;
    const facts = { ...complete('alice', 'bob', 'carol', 'dave', 'erin'), isVerified: true, isContextProven: true };
    expect(factsOf(adding.body, { adds: ['erin'] })).toStrictEqual({ ...facts, welcomeRefs: [erinRef] });
    expect(factsOf(without, { adds: ['erin'] })).toStrictEqual({ ...facts, consumedRefs: [erinRef] });
    expect(factsOf({ commit: adding.body.commit }, { adds: ['erin'] })).toStrictEqual({
      cipherSuite: 1,
      consumedRefs: [erinRef],
      isVerified: true,
    });
  });

  test('that removes somebody names who loses all leaves, unless the request does', async () => {
    const { commit } = (await publicly([...removalOf(alice, 'dave'), ...removalOf(alice, 'bob')])).body;
    expect(factsOf({ commit })).toStrictEqual({ isVerified: true, usersLosingAllLeaves: ['dave', 'bob'] });
    expect(factsOf({ commit }, { removes: ['dave'] })).toStrictEqual({
      isVerified: true,
      usersLosingAllLeaves: ['bob'],
    });
    expect(factsOf({ commit }, { removes: ['bob', 'dave'] })).toStrictEqual({ isVerified: true });
  });

  test('that removes one of two devices names whose it was, except the committer', async () => {
    const { newState } = await publicly([add(await newKeys('bob')), add(await newKeys('alice'))]);
    const at2 = storedGroup(newState, wireGroupInfo(await groupInfoOf(newState)));
    const [one] = removalOf(newState, 'bob');
    const [, own] = removalOf(newState, 'alice');
    if (one === undefined || own === undefined) throw new Error('both have two leaves');
    const { commit } = (await makeBundle(newState, [one, own], { isPublic: true })).body;
    const request = { stored: at2, currentEpoch: 2 };
    expect(factsOf({ commit }, request)).toStrictEqual({ isVerified: true, usersLosingSomeLeaves: ['bob'] });
    // Whether it may, the decision says: only one with a pending removal.
    expect(factsOf({ commit }, { ...request, removes: ['bob'] })).toMatchObject({ usersKeepingLeaves: ['bob'] });
  });

  test('that replaces a device of a user takes nothing from the user', async () => {
    const {
      welcome: _welcome,
      groupInfo: _info,
      ...body
    } = (await publicly([...removalOf(alice, 'bob'), add(await newKeys('bob'))])).body;
    const { usersLosingSomeLeaves, usersLosingAllLeaves } = factsOf(body, { adds: ['bob'] });
    expect([usersLosingSomeLeaves, usersLosingAllLeaves]).toEqual([['bob'], undefined]);
  });

  test('with a proposal by reference hides its effect: it may add anybody, and proves nothing', async () => {
    const { newState } = await createProposal(alice, true, add(erin), SUITE);
    const { body } = await makeBundle(newState, [], { isPublic: true });
    expect(factsOf(body, { adds: ['erin'] })).toStrictEqual({
      ...complete('alice', 'bob', 'carol', 'dave', 'erin'),
      isVerified: false,
      welcomeRefs: [erinRef],
    });
    const { welcome: _welcome, ...without } = body;
    expect(factsOf(without, { adds: ['erin'] })).toStrictEqual({
      ...complete('alice', 'bob', 'carol', 'dave', 'erin'),
      isVerified: false,
    });
    // The service cannot compute a tree either.
    const { groupInfo } = (await makeBundle(newState, [], { isPublic: true, tree: false })).body;
    expect(factsOf({ ...without, groupInfo }, { adds: ['erin'] })).toStrictEqual({
      cipherSuite: 1,
      isVerified: false,
      lacks: ['ratchet_tree'],
    });
  });

  test('with a path that does not fit, or another parent hash, is a fault only where the context is proven', async () => {
    const shorter = await alteredAndSigned(update.commit, alice, alice, (content) => {
      if (content.path === undefined) throw new Error('an update has a path');
      return { ...content, path: { ...content.path, nodes: content.path.nodes.slice(1) } };
    });
    const strange = await alteredAndSigned(update.commit, alice, alice, (content) =>
      withParentHash(content, new Uint8Array(32), alice),
    );
    expect(refusalOf({ commit: shorter })).toEqual([
      'group-info-mismatch',
      'The path of the commit does not fit the ratchet tree',
    ]);
    expect(refusalOf({ commit: strange })).toEqual([
      'group-info-mismatch',
      'The parent hash of the new leaf is not right',
    ]);
    for (const commit of [shorter, strange])
      expect(factsOf({ commit }, unproven())).toStrictEqual({ isVerified: false });
  });

  test('with other signatures is a fault only where the context is proven', async () => {
    // Signature, confirmation tag and membership tag are the end of the message.
    const commit = turned(update.body.commit, 70);
    expect(refusalOf({ commit })).toEqual(['identity-mismatch', 'The signature of the commit is not valid']);
    const leaf = await alteredAndSigned(update.commit, alice, alice, withTurnedLeaf);
    expect(refusalOf({ commit: leaf })).toEqual(['identity-mismatch', 'The signature of the leaf is not valid']);
    expect(factsOf({ commit }, unproven())).toStrictEqual({ isVerified: false });
    expect(factsOf({ commit: leaf }, unproven())).toStrictEqual({ isVerified: false });
    const fake = (await makeBundle(bob, [], { isPublic: true })).commit;
    const ofBob = await alteredAndSigned(fake, bob, alice, (content) => content);
    expect(refusalOf({ commit: ofBob }, { user: 'bob' })).toEqual([
      'identity-mismatch',
      'The signature of the commit is not valid',
    ]);
  });

  test('whose GroupInfo has another transcript is a fault only where the context is proven', async () => {
    const groupInfo = await infoWith(update.newState, (info) =>
      withContext(info, { confirmedTranscriptHash: new Uint8Array(32) }),
    );
    expect(refusalOf({ ...update.body, groupInfo })).toEqual([
      'group-info-mismatch',
      'The GroupInfo is not the state after this commit',
    ]);
    expect(factsOf({ ...update.body, groupInfo }, unproven())).toStrictEqual({
      ...complete(...USERS),
      isVerified: false,
    });
  });

  test('without a path is checked like the others', async () => {
    const bare = await alteredAndSigned(update.commit, alice, alice, (content) => ({ ...content, path: undefined }));
    expect(factsOf({ commit: bare })).toStrictEqual({ isVerified: true });
    expect(refusalOf({ commit: bare, groupInfo: update.body.groupInfo })).toEqual([
      'group-info-mismatch',
      'The GroupInfo is not the state after this commit',
    ]);
  });
});

describe('an external commit', () => {
  const ALL = ['alice', 'bob', 'carol', 'dave', 'erin'];

  test('is checked in full in every state, and proves the context only after a proven one', () => {
    expect(check(joining.body, { user: 'erin' })).toStrictEqual({
      framing: { epoch: 1 },
      isExternal: true,
      outcome: { facts: { ...complete(...ALL), isVerified: true, isContextProven: true } },
    });
    expect(factsOf(joining.body, { user: 'erin', ...unproven() })).toStrictEqual({
      ...complete(...ALL),
      isVerified: false,
    });
  });

  test('takes the leftmost blank leaf', async () => {
    const { newState } = await publicly(removalOf(alice, 'bob'));
    const info = await groupInfoOf(newState);
    const { body } = await makeExternal(info, erin);
    const request = { user: 'erin', stored: storedGroup(newState, wireGroupInfo(info)), currentEpoch: 2 };
    expect(factsOf(body, request)).toMatchObject({ isContextProven: true });
  });

  test('is checked for whose leaf it brings where it meets the tree, too', () => {
    const path = { identity: Buffer.from('erin') } as Partial<ExternalCommit['path']> as ExternalCommit['path'];
    expect(() => {
      checkJoiner({ path, removed: undefined }, [], 'mallory');
    }).toThrow(
      expect.objectContaining({
        code: 'identity-mismatch',
        message: 'The new leaf of an external commit must belong to you',
      }) as Error,
    );
  });

  test('may take out an old leaf of its sender', async () => {
    const again = await makeExternal(await groupInfoOf(alice), await newKeys('bob'), 'bob');
    expect(factsOf(again.body, { user: 'bob' })).toStrictEqual({
      ...complete(...USERS),
      isVerified: true,
      isContextProven: true,
    });
  });

  test('is checked however large the trees are', () => {
    for (const maxTreeBytes of [0, 1]) {
      expect(factsOf(joining.body, { user: 'erin', maxTreeBytes })).toMatchObject({ isContextProven: true });
      expect(refusalOf(joining.body, { user: 'bob', maxTreeBytes })).toEqual([
        'identity-mismatch',
        'The leaf in the path of the commit must belong to you',
      ]);
    }
  });

  test('needs a stored tree, except where no conversation is', async () => {
    const missing = ['group-info-missing', 'An external commit needs a GroupInfo with the ratchet tree'];
    expect(refusalOf(joining.body, { user: 'erin', stored: undefined })).toEqual(missing);
    const { stored: _stored, ...nothing } = { stored };
    expect(
      factsOf(joining.body, { user: 'erin', ...nothing, stored: undefined, currentEpoch: undefined }),
    ).toStrictEqual({
      ...complete(...ALL),
      isVerified: false,
    });
    const bare = storedGroup(alice, wireGroupInfo(await groupInfoOf(alice, { tree: false })));
    expect(refusalOf(joining.body, { user: 'erin', stored: bare })).toEqual(missing);
  });

  const inline = (proposal: Proposal): CommitContent['proposals'][number] => ({
    proposalOrRefType: 'proposal',
    proposal,
  });
  const removal: Proposal = { proposalType: 'remove', remove: { removed: 1 } };
  test.each<[form: string, detail: string, (content: CommitContent) => CommitContent | Promise<CommitContent>]>([
    [
      'without a path',
      'An external commit must have a path',
      (content) => ({ ...content, path: undefined, proposals: [] }),
    ],
    [
      'without ExternalInit',
      'An external commit must have exactly one ExternalInit',
      (content) => ({ ...content, proposals: [inline(removal), inline(removal)] }),
    ],
    [
      'with two ExternalInits',
      'An external commit must have exactly one ExternalInit',
      (content) => ({ ...content, proposals: [...content.proposals, ...content.proposals] }),
    ],
    [
      'with two Removes',
      'An external commit may have at most one Remove',
      (content) => ({ ...content, proposals: [...content.proposals, inline(removal), inline(removal)] }),
    ],
    [
      'with an Add',
      'An external commit may have only ExternalInit, Remove and PSK proposals, and SelfRemoves by reference',
      async (content) => ({ ...content, proposals: [...content.proposals, inline(add(await newKeys('eve')))] }),
    ],
    [
      'with a reference to no proposal of this epoch',
      'An external commit may refer only to SelfRemove proposals of this epoch',
      (content) => ({
        ...content,
        proposals: [...content.proposals, { proposalOrRefType: 'reference', reference: new Uint8Array(32) }],
      }),
    ],
  ])('%s is malformed', async (_form, detail, change) => {
    const commit = await alteredAndSigned(joining.commit, alice, joining.newState, change);
    expect(refusalOf({ ...joining.body, commit }, { user: 'erin' })).toEqual(['malformed', detail]);
  });

  test('may have pre-shared keys', async () => {
    const psk: Proposal = {
      proposalType: 'psk',
      psk: { preSharedKeyId: { psktype: 'external', pskId: Buffer.from('psk'), pskNonce: new Uint8Array(32) } },
    };
    const commit = await alteredAndSigned(joining.commit, alice, joining.newState, (content) => ({
      ...content,
      proposals: [...content.proposals, inline(psk), inline(psk)],
    }));
    expect(factsOf({ commit }, { user: 'erin' })).toStrictEqual({ isVerified: true });
  });

  test.each<[lie: string, code: string, detail: string, () => Promise<[Body, Request?]> | [Body, Request?]]>([
    [
      'names users to add',
      'membership-mismatch',
      'An external commit adds only its sender: adds and removes must be empty',
      () => [joining.body, { adds: ['dave'] }],
    ],
    [
      'names users to remove',
      'membership-mismatch',
      'An external commit adds only its sender: adds and removes must be empty',
      () => [joining.body, { removes: ['dave'] }],
    ],
    [
      'has a Welcome',
      'welcome-mismatch',
      'An external commit must not have a Welcome',
      () => [{ ...joining.body, welcome: adding.body.welcome ?? '' }],
    ],
    [
      'has a GroupInfo without a tree',
      'group-info-mismatch',
      'The GroupInfo of an external commit must contain the ratchet tree and external_pub',
      async () => [{ ...joining.body, groupInfo: wireGroupInfo(await groupInfoOf(joining.newState, { tree: false })) }],
    ],
    [
      'has a GroupInfo without external_pub',
      'group-info-mismatch',
      'The GroupInfo of an external commit must contain the ratchet tree and external_pub',
      async () => [
        {
          ...joining.body,
          groupInfo: await infoWith(joining.newState, (info) => withExtensions(info, 'external_pub')),
        },
      ],
    ],
    [
      'brings a leaf of somebody else',
      'identity-mismatch',
      'The leaf in the path of the commit must belong to you',
      () => [joining.body, { user: 'mallory' }],
    ],
    [
      'takes out the leaf of somebody else',
      'identity-mismatch',
      'An external commit may remove only your own leaf',
      async () => [(await makeExternal(await groupInfoOf(alice), erin, 'bob')).body],
    ],
    [
      'takes out a blank leaf',
      'identity-mismatch',
      'An external commit may remove only your own leaf',
      async () => [
        {
          commit: await alteredAndSigned(joining.commit, alice, joining.newState, (content) => ({
            ...content,
            proposals: [...content.proposals, inline({ proposalType: 'remove', remove: { removed: 9 } })],
          })),
        },
      ],
    ],
    [
      'has another signature',
      'identity-mismatch',
      'The signature of the commit is not valid',
      () => [{ ...joining.body, commit: turned(joining.body.commit, 40) }],
    ],
    [
      'has another signature in its leaf',
      'identity-mismatch',
      'The signature of the leaf is not valid',
      async () => [{ commit: await alteredAndSigned(joining.commit, alice, joining.newState, withTurnedLeaf) }],
    ],
    [
      'signed its leaf for another place in the tree',
      'identity-mismatch',
      'The signature of the leaf is not valid',
      async () => {
        const elsewhere = await makeExternal(await groupInfoOf(adding.newState), await newKeys('erin'));
        const path = contentOf(elsewhere).path;
        return [
          {
            commit: await alteredAndSigned(joining.commit, alice, elsewhere.newState, (content) => ({
              ...content,
              path,
            })),
          },
        ];
      },
    ],
    [
      'has a GroupInfo of another state',
      'group-info-mismatch',
      'The GroupInfo is not the state after this commit',
      async () => [
        {
          ...joining.body,
          groupInfo: await infoWith(joining.newState, (info) =>
            withContext(info, { confirmedTranscriptHash: new Uint8Array(32) }),
          ),
        },
        unproven(),
      ],
    ],
    [
      'has a path that does not fit',
      'group-info-mismatch',
      'The path of the commit does not fit the ratchet tree',
      async () => [
        {
          commit: await alteredAndSigned(joining.commit, alice, joining.newState, (content) => ({
            ...content,
            path: content.path && { ...content.path, nodes: content.path.nodes.slice(1) },
          })),
        },
        unproven(),
      ],
    ],
    [
      'has another parent hash',
      'group-info-mismatch',
      'The parent hash of the new leaf is not right',
      async () => [
        {
          commit: await alteredAndSigned(joining.commit, alice, joining.newState, (content) =>
            withParentHash(content, new Uint8Array(32), joining.newState),
          ),
        },
        unproven(),
      ],
    ],
  ])('is refused if it %s', async (_lie, code, detail, make) => {
    const [body, request = {}] = await make();
    expect(refusalOf(body, { user: 'erin', ...request })).toEqual([code, detail]);
  });
});

describe('a bundle is refused', () => {
  /** A commit with other content under its old signature: these checks come before that of the signature. */
  const with_ = (change: (content: CommitContent) => CommitContent): string => altered(adding.commit, change);

  test.each<[lie: string, code: string, detail: string, () => Promise<[Body, Request?]> | [Body, Request?]]>([
    [
      'whose Welcome is a GroupInfo',
      'welcome-mismatch',
      'The welcome field does not contain a Welcome',
      () => [{ ...adding.body, welcome: adding.body.groupInfo }],
    ],
    [
      'whose GroupInfo is a Welcome',
      'group-info-mismatch',
      'The groupInfo field does not contain a GroupInfo',
      () => [{ ...adding.body, groupInfo: adding.body.welcome ?? '' }],
    ],
    [
      'whose GroupInfo belongs to another group',
      'wrong-group',
      'The GroupInfo belongs to another group',
      async () => {
        const other = (await localGroup(['alice'])).states.get('alice') ?? expect.unreachable();
        return [{ ...adding.body, groupInfo: (await makeBundle(other)).body.groupInfo }];
      },
    ],
    [
      'whose GroupInfo is of the epoch that the commit ends',
      'group-info-mismatch',
      'The GroupInfo must be for epoch 2',
      async () => [{ ...adding.body, groupInfo: wireGroupInfo(await groupInfoOf(alice)) }],
    ],
    [
      'whose GroupInfo has two trees',
      'malformed',
      'The GroupInfo has two ratchet trees',
      async () => {
        const tree = encodeRatchetTree(adding.newState.ratchetTree);
        const groupInfo = await infoWith(adding.newState, (info) => withExtensions(info, 'ratchet_tree', tree, tree));
        return [{ ...adding.body, groupInfo }];
      },
    ],
    [
      'whose GroupInfo has a tree of noise',
      'malformed',
      'The ratchet tree in the GroupInfo is not valid: unknown node type at byte 3',
      async () => {
        const noise = Uint8Array.of(2, 1, 9);
        return [
          {
            ...adding.body,
            groupInfo: await infoWith(adding.newState, (info) => withExtensions(info, 'ratchet_tree', noise)),
          },
        ];
      },
    ],
    [
      'whose GroupInfo has a key for external commits without its length, which only a new group may have',
      'group-info-mismatch',
      'external_pub in the GroupInfo is not a public key of the cipher suite',
      async () => {
        const groupInfo = await infoWith(hidden.newState, (info) => {
          const own = info.extensions.find(({ extensionType }) => extensionType === 'external_pub');
          return withExtensions(info, 'external_pub', (own ?? expect.unreachable()).extensionData.subarray(1));
        });
        return [{ ...hidden.body, groupInfo }];
      },
    ],
    [
      'whose GroupInfo has another confirmation tag',
      'group-info-mismatch',
      'The commit and the GroupInfo have different confirmation tags',
      async () => [{ ...adding.body, groupInfo: (await publicly([add(await newKeys('erin'))])).body.groupInfo }],
    ],
    [
      'whose Welcome and GroupInfo have different cipher suites',
      'welcome-mismatch',
      'The Welcome and the GroupInfo use different cipher suites',
      () => [{ ...adding.body, welcome: inSuite(adding.body.welcome ?? '', 4, 3) }],
    ],
    [
      'whose Welcome has another cipher suite than an added key package',
      'membership-mismatch',
      'The commit adds a key package of another cipher suite',
      () => [{ commit: adding.body.commit, welcome: inSuite(adding.body.welcome ?? '', 4, 3) }],
    ],
    [
      'that adds key packages of two cipher suites',
      'membership-mismatch',
      'The commit adds a key package of another cipher suite',
      () => [
        {
          commit: with_((content) => ({
            ...content,
            proposals: [...content.proposals, ...content.proposals.map((one) => inOtherSuite(one))],
          })),
        },
      ],
    ],
    [
      'whose Welcome names a key package twice',
      'welcome-mismatch',
      'The Welcome names the same key package twice',
      async () => [{ ...adding.body, welcome: await welcomeOf((one) => [one, one]) }],
    ],
    [
      'whose Welcome names nobody',
      'welcome-mismatch',
      'The Welcome names no new member',
      async () => [{ ...adding.body, welcome: await welcomeOf(() => []) }],
    ],
    [
      'whose commit adds a key package that the Welcome does not name',
      'welcome-mismatch',
      'The commit adds a key package that the Welcome does not name',
      async () => [{ ...adding.body, welcome: await welcomeOf((one) => [{ ...one, newMember: new Uint8Array(32) }]) }],
    ],
    [
      'whose Welcome names a key package that the commit does not add',
      'welcome-mismatch',
      'The Welcome names a key package that the commit does not add',
      async () => [
        { ...adding.body, welcome: await welcomeOf((one) => [one, { ...one, newMember: new Uint8Array(32) }]) },
      ],
    ],
    [
      'that adds a user whom the request does not name',
      'membership-mismatch',
      'The commit adds a user who is not in adds',
      () => [adding.body, { adds: ['frank'] }],
    ],
    [
      'that adds a user for whom there is no id',
      'membership-mismatch',
      'The commit adds a user who is not in adds',
      async () => [(await publicly([add(erin), add(await newKeys('nobody', Uint8Array.of(0xff)))])).body],
    ],
    [
      'that does not add a user whom the request names',
      'membership-mismatch',
      'The commit does not add every user in adds',
      () => [adding.body, { adds: ['erin', 'frank'] }],
    ],
    [
      'whose path has a leaf of somebody else',
      'identity-mismatch',
      'The leaf in the path of the commit must belong to you',
      () => [update.body, { user: 'bob', adds: [] }],
    ],
    [
      'whose GroupInfo has another cipher suite than the group',
      'group-info-mismatch',
      'The GroupInfo and the group use different cipher suites',
      async () => [
        {
          ...update.body,
          groupInfo: await infoWith(update.newState, (info) =>
            withContext(info, { cipherSuite: 'MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519' }),
          ),
        },
        { adds: [] },
      ],
    ],
    [
      'that removes a blank leaf',
      'membership-mismatch',
      'The commit removes leaf 9, which is blank',
      async () => [
        {
          commit: await alteredAndSigned(update.commit, alice, alice, (content) => ({
            ...content,
            proposals: [
              { proposalOrRefType: 'proposal', proposal: { proposalType: 'remove', remove: { removed: 9 } } },
            ],
          })),
        },
        { adds: [] },
      ],
    ],
    [
      'that removes its sender',
      'membership-mismatch',
      'A member cannot commit its own removal',
      async () => [
        {
          commit: await alteredAndSigned(update.commit, alice, alice, (content) => ({
            ...content,
            proposals: [
              { proposalOrRefType: 'proposal', proposal: { proposalType: 'remove', remove: { removed: 0 } } },
            ],
          })),
        },
        { adds: [] },
      ],
    ],
    [
      'of a later epoch',
      'epoch-ahead',
      'The epoch is ahead of the conversation',
      () => [update.body, { adds: [], currentEpoch: 0 }],
    ],
  ])('%s', async (_lie, code, detail, make) => {
    const [body, request = {}] = await make();
    expect(refusalOf(body, { adds: ['erin'], ...request })).toEqual([code, detail]);
  });

  test('without a path, if its sender leaf belongs to somebody else or to nobody', async () => {
    const refused = ['identity-mismatch', 'The sender leaf does not belong to you'];
    const bare = await alteredAndSigned(update.commit, alice, alice, (content) => ({ ...content, path: undefined }));
    expect(refusalOf({ commit: bare }, { user: 'bob' })).toEqual(refused);
    expect(refusalOf({ commit: bare }, { user: 'bob', ...unproven() })).toEqual(refused);
    const sender = bytesOf(bare);
    // Version, wire format, group id and epoch, then the kind of the sender and its leaf index.
    sender.writeUInt32BE(200, 2 + 2 + 1 + 16 + 8 + 1);
    expect(refusalOf({ commit: sender.toString('base64') })).toEqual(refused);
    // Without a tree nobody can know.
    expect(factsOf({ commit: bare }, { user: 'bob', stored: undefined })).toStrictEqual({ isVerified: false });
  });

  test('with the epoch in its details, if it is ahead', () => {
    const { outcome } = check(update.body, { currentEpoch: 0 });
    expect(outcome).toMatchObject({ refusal: { details: { submittedEpoch: 1 } } });
  });

  async function welcomeOf(change: (secret: Secret) => Secret[]): Promise<string> {
    const { decodeMlsMessage } = await import('ts-mls');
    const decoded = decodeMlsMessage(bytesOf(adding.body.welcome ?? ''), 0)?.[0];
    if (decoded?.wireformat !== 'mls_welcome') throw new Error('no Welcome');
    const [secret = expect.unreachable()] = decoded.welcome.secrets;
    return wire({ wireformat: 'mls_welcome', welcome: { ...decoded.welcome, secrets: change(secret) } });
  }
  type Secret = Extract<Parameters<typeof wire>[0], { wireformat: 'mls_welcome' }>['welcome']['secrets'][number];
});

describe('parts that the service does not look at', () => {
  test('are the tree and the state where no tree is read, and of an epoch that has ended', () => {
    const seen = { cipherSuite: 1 };
    const strange = { stored: { ...stored, groupInfo: Buffer.from('noise') } };
    expect(factsOf(update.body, { maxTreeBytes: 0, ...strange })).toStrictEqual(seen);
    expect(factsOf(update.body, { currentEpoch: 2, ...strange })).toStrictEqual(seen);
    expect(factsOf(update.body, { removes: ['bob'], currentEpoch: 2 })).toStrictEqual(seen);
  });

  test('are a stored group of another epoch, one that is no GroupInfo, and one whose tree is too large', () => {
    const { commit } = update.body;
    const size = encodeRatchetTree(alice.ratchetTree).length;
    for (const request of [
      { stored: { ...stored, epoch: 0 } },
      { stored: { ...stored, groupInfo: bytesOf(adding.body.welcome ?? '') } },
      { stored: { ...stored, groupInfo: Buffer.from('noise') } },
      { maxTreeBytes: size - 1 },
    ]) {
      expect(factsOf({ commit }, request)).toStrictEqual({ isVerified: false });
    }
    expect(factsOf({ commit }, { maxTreeBytes: size })).toStrictEqual({ isVerified: true });
  });

  test('are the trees in a GroupInfo above the limit', () => {
    const size = encodeRatchetTree(hidden.newState.ratchetTree).length;
    expect(factsOf(hidden.body, { maxTreeBytes: size - 1, stored: undefined })).toStrictEqual({
      cipherSuite: 1,
      lacks: ['ratchet_tree'],
    });
    expect(factsOf(hidden.body, { maxTreeBytes: size, stored: undefined })).toStrictEqual(complete(...USERS));
  });

  test('are all without a conversation, except what the parts say', () => {
    expect(factsOf(update.body, { currentEpoch: undefined, stored: undefined })).toStrictEqual({
      ...complete(...USERS),
      isVerified: false,
    });
  });

  test('are a tree that the service stores beside a GroupInfo without one: it is read like the others', async () => {
    const bare = wireGroupInfo(await groupInfoOf(alice, { tree: false }));
    const tree = encodeRatchetTree(alice.ratchetTree);
    const { commit } = update.body;
    expect(factsOf({ commit }, { stored: storedGroup(alice, bare, { tree }) })).toStrictEqual({ isVerified: true });
  });
});

describe('a group whose cipher suite the service does not know', () => {
  /** Version and wire format of the message, then version and cipher suite of the GroupContext. */
  const unknown = (groupInfo: string): string => inSuite(groupInfo, 6, 0xf000);

  test('gives what can be read, and verifies nothing', () => {
    const groupInfo = unknown(update.body.groupInfo);
    const at = { stored: { ...stored, isProven: false, groupInfo: bytesOf(unknown(stored64())) } };
    expect(factsOf({ ...update.body, groupInfo }, at)).toStrictEqual({
      cipherSuite: 0xf000,
      isVerified: false,
      lacks: ['cipher_suite'],
      usersInTree: USERS,
    });
  });

  test('refuses what must be verified', () => {
    const at = { stored: { ...stored, groupInfo: bytesOf(unknown(stored64())) } };
    const refused = ['identity-mismatch', 'The signature of the leaf is not valid'];
    expect(refusalOf({ commit: update.body.commit }, at)).toEqual(refused);
    expect(refusalOf({ commit: joining.body.commit }, { ...at, user: 'erin' })).toEqual(refused);
  });

  const stored64 = (): string => Buffer.from(stored.groupInfo).toString('base64');
});

test('bytes that are no commit of this group are refused as such', () => {
  const refused = (body: Body, request: Request = {}): unknown => {
    try {
      return check(body, request);
    } catch (error) {
      return error;
    }
  };
  expect(refused({ commit: 'AAAA' })).toMatchObject({
    code: 'malformed',
    message: 'The commit is not a valid MLSMessage: protocol version is not mls10 at byte 2',
  });
  expect(refused({ commit: adding.body.welcome ?? '' })).toMatchObject({
    code: 'wrong-content-type',
    message: 'The commit is a welcome',
  });
  expect(refused(update.body, { groupId: new Uint8Array(16) })).toMatchObject({ code: 'wrong-group' });
  expect(refused(update.body, { statedEpoch: 7 })).toMatchObject({
    code: 'malformed',
    message: 'The request states epoch 7, but the MLS message is for epoch 1',
  });
});

test('a fault of the code is no refusal', () => {
  expect(() => check(joining.body, { user: 'erin', adds: null as unknown as string[] })).toThrow(TypeError);
});

test('leaf indexes are those that the tests name', () => {
  expect(USERS.map((user) => leafIndexes(alice, user))).toEqual([[0], [1], [2], [3]]);
});

function withTurnedLeaf(content: CommitContent): CommitContent {
  const { path } = content;
  if (path === undefined) throw new Error('the commit has a path');
  const signature = Uint8Array.from(path.leafNode.signature, (byte, i) => (i === 5 ? byte ^ 1 : byte));
  return { ...content, path: { ...path, leafNode: { ...path.leafNode, signature } } };
}

function contentOf({ commit }: Bundle): CommitContent {
  if (commit.wireformat !== 'mls_public_message') throw new Error('not public');
  const { content } = commit.publicMessage;
  if (content.contentType !== 'commit') throw new Error('not a commit');
  return content.commit;
}

/** The message with another cipher suite. @param offset where it stands */
function inSuite(message: string, offset: number, suite: number): string {
  const bytes = bytesOf(message);
  bytes.writeUInt16BE(suite, offset);
  return bytes.toString('base64');
}

function inOtherSuite(
  one: CommitContent['proposals'][number],
  cipherSuite: CiphersuiteName = 'MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519',
): CommitContent['proposals'][number] {
  if (one.proposalOrRefType !== 'proposal' || one.proposal.proposalType !== 'add') throw new Error('no Add');
  const { keyPackage } = one.proposal.add;
  return { ...one, proposal: { ...one.proposal, add: { keyPackage: { ...keyPackage, cipherSuite } } } };
}
