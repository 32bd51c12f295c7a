import type { ClientState, MLSMessage, Proposal } from 'ts-mls';
import { encodeRatchetTree } from 'ts-mls/ratchetTree.js';
import type { NodeLeaf } from 'ts-mls/ratchetTree.js';
import { createApplicationMessage, processPrivateMessage, emptyPskIndex } from 'ts-mls';
import { beforeAll, describe, expect, test } from 'vitest';
import { startApi, useApi } from '../../harness/api/use-api.ts';
import type { InProcessApi } from '../../../tools/harness/in-process-api.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';
import {
  type Bundle,
  type Group,
  SUITE,
  add,
  commit,
  deliver,
  groupInfoOf,
  leafIndexes,
  makeBundle,
  makeExternal,
  newKeys,
  removalOf,
  resigned,
  startGroup,
  verdict,
  wire,
  wireGroupInfo,
  withTree,
} from '../../harness/mls/group.ts';

const { database, service } = useApi();

const ANYONE = { externalJoin: 'anyone' };

/** An external commit of a new device of `user`, based on the state of the first member. */
async function join(group: Group, user: string, removes?: string): Promise<Bundle> {
  const state = [...group.states.values()][0];
  if (state === undefined) throw new Error('a group has a member');
  return makeExternal(await groupInfoOf(state), await newKeys(user), removes);
}

async function standing(id: string): Promise<unknown> {
  const { rows } = await database().pool.query(
    `select epoch, last_seq, member_count,
       array(select user_id from member where conversation = key and left_seq is null order by 1) as members
     from conversation where id = $1`,
    [id],
  );
  return rows[0];
}

/** Sends a commit of a member, which is accepted and processed by the others. */
async function accept(group: Group, user: string, bundle: Bundle, change: object = {}): Promise<void> {
  const { welcome: _welcome, ...body } = bundle.body;
  const answer = await commit(service, group.id, user, { ...body, ...change });
  expect(verdict(answer)).toEqual([200, undefined]);
  await deliver(group, user, bundle);
}

/** Checks that all others can read a message of `from`. */
async function expectToUnderstand(from: ClientState, others: readonly ClientState[]): Promise<void> {
  const { privateMessage } = await createApplicationMessage(from, Buffer.from('hello'), SUITE);
  for (const state of others) {
    const received = await processPrivateMessage(state, privateMessage, emptyPskIndex, SUITE);
    expect(received.kind === 'applicationMessage' && Buffer.from(received.message).toString()).toBe('hello');
  }
}

describe('who may join by an external commit', () => {
  test.each([
    ['nobody', 'mallory', 404, 'not-found'],
    ['nobody', 'bob', 403, 'not-allowed'],
    ['member', 'mallory', 404, 'not-found'],
    ['member', 'bob', 200, undefined],
    ['anyone', 'mallory', 200, undefined],
    ['anyone', 'bob', 200, undefined],
  ])('externalJoin %s, %s: %s', async (externalJoin, user, status, code) => {
    const group = await startGroup(service, ['alice', 'bob'], { externalJoin });
    const before = await standing(group.id);
    const bundle = await join(group, user);
    expect(verdict(await commit(service, group.id, user, bundle.body))).toEqual([status, code]);
    if (status !== 200) {
      expect(await standing(group.id)).toEqual(before);
      return;
    }
    const members = [...new Set(['alice', 'bob', user])].sort();
    expect(await standing(group.id)).toMatchObject({ epoch: 2, last_seq: 1, members, member_count: members.length });
    const others = [...group.states.values()];
    await deliver(group, `${user}'s new device`, bundle);
    expect(others).toHaveLength(2);
    await expectToUnderstand(bundle.newState, [group.of('alice'), group.of('bob')]);
  });

  test('an outsider that joined reads from its own commit on and is an ordinary member', async () => {
    const group = await startGroup(service, ['alice', 'bob'], ANYONE);
    const bundle = await join(group, 'dave');
    await commit(service, group.id, 'dave', bundle.body);
    const { body } = await service.ask(`GET /v1/conversations/${group.id}`, { user: 'dave' });
    expect(body).toMatchObject({ role: 'member', epoch: 2, periods: [{ from: 1 }] });
    const page = await service.ask(`GET /v1/conversations/${group.id}/messages`, { user: 'dave' });
    expect(page.body.entries).toMatchObject([{ seq: 1, kind: 'commit', epoch: 1, sender: 'dave' }]);
  });

  test('a user who joins a group that all have left becomes its admin', async () => {
    const group = await startGroup(service, ['alice', 'bob'], ANYONE);
    for (const user of ['bob', 'alice']) {
      expect((await service.ask(`DELETE /v1/conversations/${group.id}/members/${user}`, { user })).status).toBe(200);
    }
    expect(verdict(await commit(service, group.id, 'dave', (await join(group, 'dave')).body))).toEqual([
      200,
      undefined,
    ]);
    const { body } = await service.ask(`GET /v1/conversations/${group.id}/members`, { user: 'dave' });
    expect(body.members).toMatchObject([{ user: 'dave', role: 'admin' }]);
  });

  test('a conversation that becomes open to joins requires a GroupInfo with every commit, unless its policy says otherwise', async () => {
    const closed = { externalJoin: 'nobody' };
    const patch = async (policy: object): Promise<unknown> => {
      const { id } = await startGroup(service, ['alice', 'bob'], closed);
      return (await service.ask(`PATCH /v1/conversations/${id}`, { user: 'alice', body: { policy } })).body.policy;
    };
    expect(await patch({ maxMembers: 9 })).toMatchObject({ ...closed, groupInfo: 'optional' });
    expect(await patch({ externalJoin: 'member' })).toMatchObject({ groupInfo: 'required' });
    expect(await patch({ externalJoin: 'anyone', groupInfo: 'optional' })).toMatchObject({ groupInfo: 'optional' });
  });

  test('a retry of the same bytes gets the original answer, even if the sender became a member by them', async () => {
    const group = await startGroup(service, ['alice', 'bob'], ANYONE);
    const bundle = await join(group, 'dave');
    const first = await commit(service, group.id, 'dave', bundle.body);
    expect(first.status).toBe(200);
    const again = await commit(service, group.id, 'dave', bundle.body);
    expect([again.status, again.body]).toEqual([200, first.body]);
  });

  test('a user whom somebody else removed needs an add, and a user who left may come back', async () => {
    const group = await startGroup(service, ['alice', 'bob', 'carol'], ANYONE);
    await accept(group, 'alice', await makeBundle(group.of('alice'), removalOf(group.of('alice'), 'bob')), {
      removes: ['bob'],
    });
    expect(verdict(await commit(service, group.id, 'bob', (await join(group, 'bob')).body))).toEqual([
      404,
      'not-found',
    ]);

    await service.ask(`DELETE /v1/conversations/${group.id}/members/carol`, { user: 'carol' });
    await accept(group, 'alice', await makeBundle(group.of('alice'), removalOf(group.of('alice'), 'carol')), {
      removes: ['carol'],
    });
    const back = await join(group, 'carol');
    expect(verdict(await commit(service, group.id, 'carol', back.body))).toEqual([200, undefined]);
  });
});

describe('an external commit adds only its sender', () => {
  test("an outsider with another's identity in its leaf is refused", async () => {
    const group = await startGroup(service, ['alice', 'bob'], ANYONE);
    const before = await standing(group.id);
    const asBob = await join(group, 'bob');
    expect(verdict(await commit(service, group.id, 'mallory', asBob.body))).toEqual([403, 'identity-mismatch']);
    expect(await standing(group.id)).toEqual(before);
  });

  test("an outsider whose external commit removes somebody else's leaf is refused", async () => {
    const group = await startGroup(service, ['alice', 'bob', 'carol'], ANYONE);
    const before = await standing(group.id);
    const against = await join(group, 'mallory', 'bob');
    expect(verdict(await commit(service, group.id, 'mallory', against.body))).toEqual([403, 'identity-mismatch']);
    // A member may not do so either.
    const rival = await join(group, 'carol', 'bob');
    expect(verdict(await commit(service, group.id, 'carol', rival.body))).toEqual([403, 'identity-mismatch']);
    expect(await standing(group.id)).toEqual(before);
  });

  test('a leaf whose signature is not valid is refused', async () => {
    const group = await startGroup(service, ['alice', 'bob']);
    const bundle = await join(group, 'bob');
    const spoilt = altered(bundle.commit, (content) => {
      const { path } = content;
      if (path === undefined) throw new Error('an external commit has a path');
      const signature = Uint8Array.from(path.leafNode.signature, (byte, i) => (i === 5 ? byte ^ 1 : byte));
      return { ...content, path: { ...path, leafNode: { ...path.leafNode, signature } } };
    });
    const answer = await commit(service, group.id, 'bob', { ...bundle.body, commit: spoilt });
    expect(verdict(answer)).toEqual([403, 'identity-mismatch']);
  });

  test('a leaf that was signed for another position in the tree is refused', async () => {
    const group = await startGroup(service, ['alice', 'bob', 'carol', 'dave']);
    // A bundle of a larger group, whose first free leaf is a different one.
    const larger = await makeBundle(group.of('alice'), [add(await newKeys('erin'))]);
    const elsewhere = await makeExternal(await groupInfoOf(larger.newState), await newKeys('bob'));
    const here = await join(group, 'bob');
    const path = contentOf(elsewhere.commit).path;
    const spoilt = altered(here.commit, (content) => ({ ...content, path }));
    const answer = await commit(service, group.id, 'bob', { ...here.body, commit: spoilt });
    expect(verdict(answer)).toEqual([403, 'identity-mismatch']);
  });

  test('its GroupInfo must contain the joining leaf', async () => {
    const group = await startGroup(service, ['alice', 'bob'], ANYONE);
    const [one, other] = [await join(group, 'dave'), await join(group, 'dave')];
    const answer = await commit(service, group.id, 'dave', { ...one.body, groupInfo: other.body.groupInfo });
    expect(verdict(answer)).toEqual([422, 'group-info-mismatch']);
    const without = await commit(service, group.id, 'dave', { commit: one.body.commit });
    expect(verdict(without)).toEqual([422, 'group-info-mismatch']);
  });

  test('its GroupInfo changes only the joining leaf, so that no later commit can take over the leaf of another user', async () => {
    const group = await startGroup(service, ['alice', 'bob'], ANYONE);
    const before = await standing(group.id);
    const one = await join(group, 'mallory');
    const leafOf = async (user: string): Promise<NodeLeaf> => ({
      nodeType: 'leaf',
      leaf: (await newKeys(user)).publicPackage.leafNode,
    });
    const [alice = 0] = leafIndexes(one.newState, 'alice');
    const tree = [...one.newState.ratchetTree, undefined, await leafOf('alice')];
    tree[2 * alice] = await leafOf('mallory');
    const groupInfo = await withTree(one.newState, encodeRatchetTree(Array.from(tree)));
    const answer = await commit(service, group.id, 'mallory', { ...one.body, groupInfo });
    expect(verdict(answer)).toEqual([422, 'group-info-mismatch']);
    expect(await standing(group.id)).toEqual(before);
  });

  test('its GroupInfo must contain everything that the next join needs, and is checked at any size', async () => {
    const group = await startGroup(service, ['alice', 'bob'], ANYONE);
    const { body, newState } = await join(group, 'dave');
    const { signature: _signature, ...tbs } = await groupInfoOf(newState);
    const withoutKey = tbs.extensions.filter(({ extensionType }) => extensionType !== 'external_pub');
    const attempt = async (at: InProcessApi, groupInfo: string): Promise<unknown> =>
      verdict(await commit(at, group.id, 'dave', { ...body, groupInfo }));
    const bare = wireGroupInfo(await groupInfoOf(newState, { tree: false }));
    expect(await attempt(service, bare)).toEqual([422, 'group-info-mismatch']);
    const keyless = await resigned(newState, { ...tbs, extensions: withoutKey });
    expect(await attempt(service, keyless)).toEqual([422, 'group-info-mismatch']);
    const sparing = await startApi(database().pool, { treeCheckMaxBytes: 1 });
    try {
      const strange = await withTree(newState, encodeRatchetTree(newState.ratchetTree.slice(0, 1)));
      expect(await attempt(sparing, strange)).toEqual([422, 'group-info-mismatch']);
    } finally {
      await sparing.close();
    }
  });

  test('it may name no users to add or remove, and may have no Welcome', async () => {
    const group = await startGroup(service, ['alice', 'bob']);
    const { body } = await join(group, 'bob');
    const { welcome } = (await makeBundle(group.of('alice'), [add(await newKeys('dave'))])).body;
    const attempt = async (change: object): Promise<unknown> =>
      (await commit(service, group.id, 'bob', { ...body, ...change })).body.code;
    expect(await attempt({ adds: ['dave'] })).toBe('membership-mismatch');
    expect(await attempt({ removes: ['alice'] })).toBe('membership-mismatch');
    expect(await attempt({ welcome })).toBe('welcome-mismatch');
  });
});

describe('the form of an external commit (RFC 9420 §12.4.3.2)', () => {
  let group: Group;
  let bundle: Bundle;
  let before: unknown;
  beforeAll(async () => {
    group = await startGroup(service, ['alice', 'bob']);
    bundle = await join(group, 'bob', 'bob');
    before = await standing(group.id);
  });

  const inline = (proposal: Proposal): Content['proposals'][number] => ({ proposalOrRefType: 'proposal', proposal });
  const forms: Record<string, (content: Content) => Content | Promise<Content>> = {
    'without a path': (content) => ({ ...content, path: undefined }),
    'without ExternalInit': (content) => ({ ...content, proposals: content.proposals.slice(0, 1) }),
    'with two ExternalInits': (content) => ({
      ...content,
      proposals: [...content.proposals, ...content.proposals.slice(1)],
    }),
    'with two Removes': (content) => ({
      ...content,
      proposals: [...content.proposals, ...content.proposals.slice(0, 1)],
    }),
    'with an Add': async (content) => ({
      ...content,
      proposals: [...content.proposals, inline(add(await newKeys('eve')))],
    }),
    'with a change of extensions': (content) => ({
      ...content,
      proposals: [
        ...content.proposals,
        inline({ proposalType: 'group_context_extensions', groupContextExtensions: { extensions: [] } }),
      ],
    }),
    'with a proposal by reference': (content) => ({
      ...content,
      proposals: [...content.proposals, { proposalOrRefType: 'reference', reference: new Uint8Array(32) }],
    }),
  };
  test.each(Object.entries(forms))('an external commit %s is malformed', async (_name, spoil) => {
    const content = await spoil(contentOf(bundle.commit));
    const spoilt = altered(bundle.commit, () => content);
    const answer = await commit(service, group.id, 'bob', { ...bundle.body, commit: spoilt });
    expect(verdict(answer)).toEqual([400, 'malformed']);
    expect(await standing(group.id)).toEqual(before);
  });
});

describe('a joining leaf is accepted', () => {
  test.each([2, 3, 4, 5])('in a tree of %s leaves', async (size) => {
    const users = ['alice', 'bob', 'carol', 'dave', 'erin'].slice(0, size);
    const group = await startGroup(service, users);
    expect(verdict(await commit(service, group.id, 'bob', (await join(group, 'bob')).body))).toEqual([200, undefined]);
  });

  test.each([1, 2, 3])('at its own old leaf, or at the first free leaf before it (leaf %s)', async (index) => {
    const users = ['alice', 'bob', 'carol', 'dave'];
    const group = await startGroup(service, users);
    const user = users.find((one) => leafIndexes(group.of('alice'), one).includes(index)) ?? '';
    const bundle = await join(group, user, user);
    expect(verdict(await commit(service, group.id, user, bundle.body))).toEqual([200, undefined]);
    expect(leafIndexes(bundle.newState, user)).toEqual([index]);
  });

  test('at a leaf that a removal left blank', async () => {
    const group = await startGroup(service, ['alice', 'bob', 'carol', 'dave']);
    const gone = leafIndexes(group.of('alice'), 'bob');
    await accept(group, 'alice', await makeBundle(group.of('alice'), removalOf(group.of('alice'), 'bob')), {
      removes: ['bob'],
    });
    const bundle = await join(group, 'carol');
    expect(leafIndexes(bundle.newState, 'carol')).toEqual(expect.arrayContaining(gone));
    expect(verdict(await commit(service, group.id, 'carol', bundle.body))).toEqual([200, undefined]);
  });
});

describe('external commits have the same order as other commits', () => {
  test('the answer to a lost commit names the accepted one, to a member', async () => {
    const group = await startGroup(service, ['alice', 'bob'], ANYONE);
    const late = await join(group, 'bob');
    const winner = await makeBundle(group.of('alice'));
    const accepted = await commit(service, group.id, 'alice', winner.body);
    const answer = await commit(service, group.id, 'bob', late.body);
    expect(verdict(answer)).toEqual([409, 'epoch-conflict']);
    const { seq, sha256 } = accepted.body;
    expect(answer.body).toMatchObject({ currentEpoch: 2, submittedEpoch: 1, winner: { seq, sha256 }, after: 0 });
    // A new commit on top of the accepted one succeeds.
    await deliver(group, 'alice', winner);
    expect(verdict(await commit(service, group.id, 'dave', (await join(group, 'dave')).body))).toEqual([
      200,
      undefined,
    ]);
  });

  test('exactly one of many concurrent commits wins (invariant 2)', async () => {
    const group = await startGroup(service, ['alice', 'bob'], ANYONE);
    const users = ['alice', 'bob', 'dave', 'erin', 'frank'];
    const bundles = await Promise.all(users.map((user) => join(group, user)));
    const answers = await Promise.all(users.map((user, i) => commit(service, group.id, user, bundles[i]?.body)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409, 409]);
    expect(await standing(group.id)).toMatchObject({ epoch: 2, last_seq: 1 });
  });

  test('an external commit of a future epoch is refused as ahead', async () => {
    const group = await startGroup(service, ['alice', 'bob'], ANYONE);
    const next = await makeBundle(group.of('alice'));
    const early = await makeExternal(next.groupInfo, await newKeys('dave'));
    const answer = await commit(service, group.id, 'dave', early.body);
    expect(verdict(answer)).toEqual([409, 'epoch-ahead']);
    expect(answer.body).toMatchObject({ currentEpoch: 1, submittedEpoch: 2 });
  });
});

test('nobody can join without a GroupInfo that contains a tree', async () => {
  for (const stored of [{ groupInfo: false }, { tree: false }]) {
    const group = await startGroup(service, ['alice', 'bob'], { ...ANYONE, groupInfo: 'optional' }, stored);
    const bundle = await join(group, 'dave');
    const answer = await commit(service, group.id, 'dave', bundle.body);
    expect(verdict(answer)).toEqual([404, 'group-info-missing']);
  }
});

test('outsiders cannot distinguish a closed conversation from one that does not exist, with any external commit', async () => {
  const group = await startGroup(service, ['alice', 'bob'], { externalJoin: 'member' });
  await service.ask(`GET /v1/conversations/${group.id}`, { user: 'bob' });
  const bundles = [await join(group, 'mallory'), await join(group, 'bob'), await join(group, 'mallory', 'bob')];
  for (const { body } of bundles) {
    const bodies = [body, { commit: body.commit }, { ...body, adds: ['eve'] }, { ...body, groupInfo: body.commit }];
    for (const one of bodies) {
      const there = await commit(service, group.id, 'mallory', one);
      const nowhere = await commit(service, newConversationId(), 'mallory', one);
      const { requestId: _own, ...problem } = there.body;
      const { requestId: _other, ...same } = nowhere.body;
      expect([there.status, problem]).toEqual([404, same]);
    }
  }
});

type Content = Extract<PublicContent, { contentType: 'commit' }>['commit'];
type PublicContent = Extract<MLSMessage, { wireformat: 'mls_public_message' }>['publicMessage']['content'];

function contentOf(message: MLSMessage): Content {
  if (message.wireformat !== 'mls_public_message') throw new Error('not public');
  const { content } = message.publicMessage;
  if (content.contentType !== 'commit') throw new Error('not a commit');
  return content.commit;
}

/** The commit with other content. Its signature no longer matches, but only members can detect that. */
function altered(message: MLSMessage, change: (content: Content) => Content): string {
  if (message.wireformat !== 'mls_public_message') throw new Error('not public');
  const { publicMessage } = message;
  const { content } = publicMessage;
  if (content.contentType !== 'commit') throw new Error('not a commit');
  return wire({
    wireformat: 'mls_public_message',
    publicMessage: {
      ...publicMessage,
      content: { ...content, commit: change(content.commit) },
    } as typeof publicMessage,
  });
}
