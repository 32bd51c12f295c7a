import type { ClientState, GroupInfo } from 'ts-mls';
import { createGroup, createProposal } from 'ts-mls';
import { encodeRatchetTree } from 'ts-mls/ratchetTree.js';
import { describe, expect, test } from 'vitest';
import { jobsInThisThread } from '../../../compute/jobs.ts';
import type { Answer } from '../../../tools/harness/answer.ts';
import { base64 } from '../../harness/api/conversations.ts';
import { startApi, useApi } from '../../harness/api/use-api.ts';
import {
  type Group,
  SUITE,
  add,
  commit,
  deliver,
  groupInfoOf,
  localGroup,
  makeBundle,
  makeExternal,
  newKeys,
  resigned,
  startGroup,
  verdict,
  wire,
  wireGroupInfo,
} from '../../harness/mls/group.ts';

/** What the service verifies without any secret of the group (docs/explanation/integrity.md). */

const { database, service } = useApi();

const MISMATCH = [422, 'group-info-mismatch'];
const OPTIONAL = { groupInfo: 'optional' };

type Unsigned = Omit<GroupInfo, 'signature'>;

/** A GroupInfo that was changed and signed again by its owner. */
async function changed(state: ClientState, change: (info: Unsigned) => Unsigned): Promise<string> {
  const { signature: _signature, ...info } = await groupInfoOf(state);
  return resigned(state, change(info));
}

function withExtension(
  info: Unsigned,
  extensionType: 'external_pub' | 'ratchet_tree',
  data: Uint8Array | undefined,
): Unsigned {
  const others = info.extensions.filter((one) => one.extensionType !== extensionType);
  return { ...info, extensions: data === undefined ? others : [...others, { extensionType, extensionData: data }] };
}

const withContext = (info: Unsigned, context: Partial<GroupInfo['groupContext']>): Unsigned => ({
  ...info,
  groupContext: { ...info.groupContext, ...context },
});

/** Lies of a member, each in a GroupInfo that the member signed. */
const LIES: Record<string, (info: Unsigned, state: ClientState) => Unsigned> = {
  'without a ratchet tree': (info) => withExtension(info, 'ratchet_tree', undefined),
  'without external_pub': (info) => withExtension(info, 'external_pub', undefined),
  'with an external_pub of three bytes': (info) => withExtension(info, 'external_pub', Uint8Array.of(2, 1, 1)),
  'with an external_pub without its length': (info) => withExtension(info, 'external_pub', new Uint8Array(32).fill(9)),
  'with an external_pub of low order': (info) =>
    withExtension(info, 'external_pub', Uint8Array.of(32, ...new Uint8Array(32))),
  'with another tree hash': (info) => withContext(info, { treeHash: new Uint8Array(32) }),
  'with another cipher suite': (info) =>
    withContext(info, { cipherSuite: 'MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519' }),
  'with a tree in which a parent has another key': (info, { ratchetTree }) => {
    const at = ratchetTree.findIndex((node) => node?.nodeType === 'parent');
    const node = ratchetTree[at];
    if (node?.nodeType !== 'parent') throw new Error('the tree has a parent');
    const parent = { ...node.parent, hpkePublicKey: new Uint8Array(32).fill(3) };
    const tree = ratchetTree.with(at, { nodeType: 'parent', parent });
    return withExtension(info, 'ratchet_tree', encodeRatchetTree(tree));
  },
};

describe('under a policy that requires a GroupInfo, a commit is refused with one', () => {
  test.each(Object.entries(LIES))('%s', async (_name, lie) => {
    const group = await startGroup(service, ['alice', 'bob', 'carol', 'dave']);
    const { body, newState } = await makeBundle(group.of('alice'));
    const groupInfo = await changed(newState, (info) => lie(info, newState));
    expect(verdict(await commit(service, group.id, 'alice', { ...body, groupInfo }))).toEqual(MISMATCH);
    expect(verdict(await commit(service, group.id, 'alice', body))).toEqual([200, undefined]);
  });

  test('of an invented cipher suite, whose signature nobody can check', async () => {
    const group = await startGroup(service, ['alice', 'bob']);
    const { body } = await makeBundle(group.of('alice'));
    const bytes = Buffer.from(body.groupInfo, 'base64');
    // Version and wire format of the message, then version and cipher suite of the GroupContext.
    bytes.writeUInt16BE(0xf000, 6);
    expect(verdict(await commit(service, group.id, 'alice', { ...body, groupInfo: base64(bytes) }))).toEqual(MISMATCH);
  });

  test('that another member signed', async () => {
    const group = await startGroup(service, ['alice', 'bob']);
    const bundle = await makeBundle(group.of('alice'), [], { isPublic: true });
    await deliver(group, 'alice', bundle);
    const groupInfo = wireGroupInfo(await groupInfoOf(group.of('bob')));
    expect(verdict(await commit(service, group.id, 'alice', { ...bundle.body, groupInfo }))).toEqual([
      403,
      'identity-mismatch',
    ]);
  });

  test('whose leaf of another member is forged', async () => {
    const group = await startGroup(service, ['alice', 'bob']);
    const forged = await newKeys('bob');
    const { newState } = await makeBundle(group.of('alice'));
    const { ratchetTree } = newState;
    const at = ratchetTree.findIndex(
      (node, i) => node?.nodeType === 'leaf' && i !== 2 * newState.privatePath.leafIndex,
    );
    const { leafNode } = forged.publicPackage;
    const leaf = { ...leafNode, signature: leafNode.signature.map((byte, i) => (i === 5 ? byte ^ 1 : byte)) };
    const tree = ratchetTree.with(at, { nodeType: 'leaf', leaf });
    const { treeHashRoot } = await import('ts-mls/treeHash.js');
    const treeHash = await treeHashRoot(tree, SUITE.hash);
    const groupInfo = await changed({ ...newState, ratchetTree: tree }, (info) => withContext(info, { treeHash }));
    const { body } = await makeBundle(group.of('alice'));
    const answer = await commit(service, group.id, 'alice', { commit: body.commit, groupInfo });
    expect(verdict(answer)).toEqual(MISMATCH);
  });
});

test('under an optional policy a part may be absent, and what is there must be right', async () => {
  for (const [name, lie] of Object.entries(LIES)) {
    const group = await startGroup(service, ['alice', 'bob', 'carol', 'dave'], OPTIONAL);
    const { body, newState } = await makeBundle(group.of('alice'));
    const groupInfo = await changed(newState, (info) => lie(info, newState));
    const answer = await commit(service, group.id, 'alice', { ...body, groupInfo });
    const isAbsent = name === 'without a ratchet tree' || name === 'without external_pub';
    expect([name, ...verdict(answer)]).toEqual([name, ...(isAbsent ? [200, undefined] : MISMATCH)]);
  }
});

test('a new conversation, and a GroupInfo without a commit, are checked in the same way', async () => {
  // Undetectable here: the two suites have the same hash and signatures, and nothing has pinned one yet.
  const { 'with another cipher suite': _suite, ...lies } = LIES;
  for (const [name, lie] of Object.entries(lies)) {
    const { id, states } = await localGroup(['alice', 'bob', 'carol', 'dave']);
    const state = states.get('alice') ?? expect.unreachable();
    const { newState } = await makeBundle(state);
    const groupInfo = await changed(newState, (info) => lie(info, newState));
    const create = (body: object): Promise<Answer> =>
      service.ask('POST /v1/conversations', {
        user: 'alice',
        body: { id, epoch: 2, members: ['bob', 'carol', 'dave'], ...body },
      });
    // ts-mls up to 1.6.4 writes the bare key. Nobody else is in a new group, and its first commit must bring a right one.
    const isBare = name === 'with an external_pub without its length';
    const created = await create({ groupInfo });
    expect([name, ...verdict(created)]).toEqual([name, ...(isBare ? [201, undefined] : MISMATCH)]);
    if (isBare) continue;
    expect((await create({})).status).toBe(201);
    const put = await service.ask(`PUT /v1/conversations/${id}/group-info`, { user: 'alice', body: { groupInfo } });
    expect([name, ...verdict(put)]).toEqual([name, ...MISMATCH]);
  }
});

test('the first checked GroupInfo pins the cipher suite for Welcomes and added key packages', async () => {
  const group = await startGroup(service, ['alice', 'bob'], OPTIONAL);
  const { rows } = await database().pool.query(
    'select cipher_suite, checked from group_info where conversation = (select key from conversation where id = $1)',
    [group.id],
  );
  expect(rows).toEqual([{ cipher_suite: 1, checked: true }]);
  const { body } = await makeBundle(group.of('alice'), [add(await newKeys('dave'))]);
  const welcome = Buffer.from(body.welcome ?? '', 'base64');
  welcome.writeUInt16BE(3, 4);
  const request = { commit: body.commit, welcome: base64(welcome), adds: ['dave'] };
  expect(verdict(await commit(service, group.id, 'alice', request))).toEqual([422, 'welcome-mismatch']);
});

/** A group of alice whose context the service has proven: created at epoch 0 with a checked GroupInfo. */
async function provenGroup(policy: object = {}): Promise<Group> {
  const group = await startGroup(service, ['alice'], { externalJoin: 'anyone', ...policy });
  for (const user of ['bob', 'carol']) {
    const joined = await makeExternal(
      await groupInfoOf([...group.states.values()][0] ?? group.of('alice')),
      await newKeys(user),
    );
    expect(verdict(await commit(service, group.id, user, joined.body))).toEqual([200, undefined]);
    await deliver(group, user, joined);
    // Somebody else acts, so that the next outsider may join.
    const update = await makeBundle(group.of('alice'), [], { isPublic: true });
    expect(verdict(await commit(service, group.id, 'alice', update.body))).toEqual([200, undefined]);
    await deliver(group, 'alice', update);
  }
  return group;
}

async function proofs(id: string): Promise<unknown> {
  const { rows } = await database().pool.query<{ proven: boolean; verified: unknown[] }>(
    `select g.proven, array(select verified from entry where conversation = c.key order by seq) as verified
     from conversation c join group_info g on g.conversation = c.key where c.id = $1`,
    [id],
  );
  return rows[0];
}

describe('public commits since the creation', () => {
  test('prove the context, and a private commit ends the proof', async () => {
    const group = await provenGroup();
    expect(await proofs(group.id)).toEqual({ proven: true, verified: [true, true, true, true] });
    const hidden = await makeBundle(group.of('bob'));
    expect(verdict(await commit(service, group.id, 'bob', hidden.body))).toEqual([200, undefined]);
    await deliver(group, 'bob', hidden);
    const shown = await makeBundle(group.of('bob'), [], { isPublic: true });
    expect(verdict(await commit(service, group.id, 'bob', shown.body))).toEqual([200, undefined]);
    expect(await proofs(group.id)).toMatchObject({ proven: false, verified: [true, true, true, true, null, false] });
  });

  test('are refused where their signature, path, tree or transcript is wrong', async () => {
    const group = await provenGroup();
    const { body, newState } = await makeBundle(group.of('bob'), [], { isPublic: true });
    const send = async (change: object): Promise<unknown> =>
      verdict(await commit(service, group.id, 'bob', { ...body, ...change }));
    const other = await makeBundle(group.of('bob'), [], { isPublic: true });
    expect(await send({ groupInfo: other.body.groupInfo })).toEqual(MISMATCH);
    const wrong = { confirmedTranscriptHash: new Uint8Array(32) };
    expect(await send({ groupInfo: await changed(newState, (info) => withContext(info, wrong)) })).toEqual(MISMATCH);
    // The last bytes are signature, confirmation tag and membership tag.
    const bytes = Buffer.from(body.commit, 'base64');
    bytes[bytes.length - 70] = (bytes[bytes.length - 70] ?? 0) ^ 1;
    expect(await send({ commit: base64(bytes) })).toEqual([403, 'identity-mismatch']);
    expect(await send({})).toEqual([200, undefined]);
  });

  test('may leave the tree out of the GroupInfo: the service computes it, commit after commit', async () => {
    const group = await provenGroup();
    for (const user of ['bob', 'carol', 'alice']) {
      const bundle = await makeBundle(group.of(user), [], { isPublic: true, tree: false });
      expect(verdict(await commit(service, group.id, user, bundle.body))).toEqual([200, undefined]);
      await deliver(group, user, bundle);
    }
    expect(await proofs(group.id)).toMatchObject({ proven: true });
    expect((await database().pool.query('select from computed_tree')).rowCount).toBe(0);
    const hidden = await makeBundle(group.of('bob'), [], { tree: false });
    expect(verdict(await commit(service, group.id, 'bob', hidden.body))).toEqual(MISMATCH);
  });
});

describe('a public proposal of a member', () => {
  const remove = { proposalType: 'remove', remove: { removed: 0 } } as const;
  const send = async (id: string, user: string, bytes: Uint8Array): Promise<unknown> => {
    const body = { id: `${user}-${bytes.length}-${bytes.at(-40)}`, ciphertext: base64(bytes) };
    return verdict(await service.ask(`POST /v1/conversations/${id}/messages`, { user, body }));
  };

  test('is verified where the context is proven, and refused with a wrong signature', async () => {
    const group = await provenGroup();
    const { message } = await createProposal(group.of('bob'), true, remove, SUITE);
    const bytes = Buffer.from(wire(message), 'base64');
    const wrong = Buffer.from(bytes);
    wrong[wrong.length - 40] = (wrong[wrong.length - 40] ?? 0) ^ 1;
    expect(await send(group.id, 'bob', wrong)).toEqual([403, 'identity-mismatch']);
    expect(await send(group.id, 'bob', bytes)).toEqual([200, undefined]);
    expect(await proofs(group.id)).toMatchObject({ verified: [true, true, true, true, true] });
  });

  test('is stored as not verified elsewhere', async () => {
    const group = await startGroup(service, ['alice', 'bob']);
    const { message } = await createProposal(group.of('bob'), true, remove, SUITE);
    const wrong = Buffer.from(wire(message), 'base64');
    wrong[wrong.length - 40] = (wrong[wrong.length - 40] ?? 0) ^ 1;
    expect(await send(group.id, 'bob', wrong)).toEqual([200, undefined]);
    expect(await proofs(group.id)).toMatchObject({ verified: [false] });
  });
});

test('a lie in the GroupInfo of a private commit is no veto over the honest commits of others', async () => {
  const group = await startGroup(service, ['alice', 'bob', 'carol']);
  const lie = await makeBundle(group.of('bob'));
  const wrong = { confirmedTranscriptHash: new Uint8Array(32).fill(7) };
  const groupInfo = await changed(lie.newState, (info) => withContext(info, wrong));
  expect(verdict(await commit(service, group.id, 'bob', { ...lie.body, groupInfo }))).toEqual([200, undefined]);
  await deliver(group, 'bob', lie);
  const honest = await makeBundle(group.of('carol'), [], { isPublic: true });
  expect(verdict(await commit(service, group.id, 'carol', honest.body))).toEqual([200, undefined]);
  expect(await proofs(group.id)).toMatchObject({ verified: [null, false] });
});

describe('an external commit', () => {
  test('is refused with another signature over its content', async () => {
    const group = await startGroup(service, ['alice', 'bob'], { externalJoin: 'anyone' });
    const { body } = await makeExternal(await groupInfoOf(group.of('alice')), await newKeys('dave'));
    const bytes = Buffer.from(body.commit, 'base64');
    // In front of the confirmation tag, which is the end.
    bytes[bytes.length - 40] = (bytes[bytes.length - 40] ?? 0) ^ 1;
    const answer = await commit(service, group.id, 'dave', { ...body, commit: base64(bytes) });
    expect(verdict(answer)).toEqual([403, 'identity-mismatch']);
  });

  test('is refused with a GroupInfo of another transcript', async () => {
    const group = await startGroup(service, ['alice', 'bob'], { externalJoin: 'anyone' });
    const { body, newState } = await makeExternal(await groupInfoOf(group.of('alice')), await newKeys('dave'));
    const wrong = { confirmedTranscriptHash: new Uint8Array(32).fill(7) };
    const groupInfo = await changed(newState, (info) => withContext(info, wrong));
    expect(verdict(await commit(service, group.id, 'dave', { ...body, groupInfo }))).toEqual(MISMATCH);
    expect(verdict(await commit(service, group.id, 'dave', body))).toEqual([200, undefined]);
  });

  test('made for another state of the group is refused', async () => {
    const group = await startGroup(service, ['alice', 'bob'], { externalJoin: 'anyone' });
    const fork = await makeBundle(group.of('alice'));
    const [first] = [await makeBundle(group.of('alice'))];
    expect(verdict(await commit(service, group.id, 'alice', first.body))).toEqual([200, undefined]);
    const { body } = await makeExternal(fork.groupInfo, await newKeys('dave'));
    const answer = await commit(service, group.id, 'dave', body);
    expect([403, 422]).toContain(answer.status);
  });
});

test('at epoch 0 the transcript hash must be empty', async () => {
  const own = await newKeys('alice');
  const groupId = crypto.getRandomValues(new Uint8Array(16));
  const state = await createGroup(groupId, own.publicPackage, own.privatePackage, [], SUITE);
  const id = Buffer.from(groupId).toString('base64url');
  const wrong = { confirmedTranscriptHash: new Uint8Array(32) };
  const body = { id, groupInfo: await changed(state, (info) => withContext(info, wrong)) };
  expect(verdict(await service.ask('POST /v1/conversations', { user: 'alice', body }))).toEqual(MISMATCH);
});

test('a hundred proposals of an epoch, also of an outsider, load its GroupInfo once and parse it once', async () => {
  const jobs: string[] = [];
  const counting: typeof jobsInThisThread = {
    run: (name, user, ...input) => {
      jobs.push(name);
      return jobsInThisThread.run(name, user, ...input);
    },
  };
  const { pool } = database();
  const statements: string[] = [];
  const counted = new Proxy(pool, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (key !== 'query' || typeof value !== 'function')
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      return (...input: unknown[]): unknown => {
        const [query] = input as [{ name?: string } | string];
        if (typeof query === 'object') statements.push(query.name ?? '');
        return Reflect.apply(value, target, input);
      };
    },
  });
  const api = await startApi(counted, { jobs: counting });
  try {
    const group = await startGroup(api, ['alice', 'bob'], { externalJoin: 'anyone' });
    const { message } = await createProposal(
      group.of('bob'),
      true,
      { proposalType: 'remove', remove: { removed: 0 } },
      SUITE,
    );
    const ciphertext = wire(message);
    for (const user of ['bob', 'bob', 'mallory', 'mallory']) {
      const messages = Array.from({ length: 25 }, (_, i) => ({ id: `${user}-${i}`, ciphertext }));
      await api.ask(`POST /v1/conversations/${group.id}/messages`, { user, body: { messages } });
    }
    const count = (name: string): number => statements.filter((one) => one === name).length;
    expect(count('read-stored-group-info')).toBe(1);
    expect(jobs.filter((name) => name === 'epoch-facts')).toHaveLength(1);
    // One for each request, whatever the number of its proposals.
    expect(count('read-group-info-version')).toBeLessThanOrEqual(4);
  } finally {
    await api.close();
  }
});
