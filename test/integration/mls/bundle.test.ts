import { createCommit } from 'ts-mls';
import type { Proposal } from 'ts-mls';
import { encodeRatchetTree } from 'ts-mls/ratchetTree.js';
import { beforeAll, describe, expect, test } from 'vitest';
import { base64 } from '../../harness/api/conversations.ts';
import { startApi, useApi } from '../../harness/api/use-api.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';
import {
  type Bundle,
  type Group,
  SUITE,
  add,
  commit,
  groupInfoOf,
  localGroup,
  makeBundle,
  newKeys,
  removalOf,
  resigned,
  startGroup,
  verdict,
  wire,
  withTree,
  wireGroupInfo,
} from '../../harness/mls/group.ts';

const { database, service } = useApi();

/** All data that a refused bundle could have changed. */
async function traces(id: string, joiner: string): Promise<unknown> {
  const { pool } = database();
  const conversation = await pool.query(
    `select c.epoch, c.last_seq, c.member_count, g.epoch as group_info_epoch, md5(g.group_info) as group_info,
       (select count(*) from entry where conversation = c.key) as entries,
       (select count(*) from member where conversation = c.key) as members,
       (select count(*) from welcome where conversation = c.key or user_id = $2) as welcomes
     from conversation c left join group_info g on g.conversation = c.key where c.id = $1`,
    [id, joiner],
  );
  return conversation.rows;
}

/** Cuts off the last byte, so that the lengths inside no longer fit. */
function cut(text: string): string {
  return base64(Buffer.from(text, 'base64').subarray(0, -1));
}

function trailed(text: string): string {
  return base64(Buffer.concat([Buffer.from(text, 'base64'), Buffer.alloc(1)]));
}

describe('a malformed part refuses the whole bundle and changes nothing (invariant 6)', () => {
  let group: Group;
  let bundle: Bundle;
  let before: unknown;
  beforeAll(async () => {
    group = await startGroup(service, ['alice', 'bob']);
    bundle = await makeBundle(group.of('alice'), [add(await newKeys('dave'))], { isPublic: true });
    before = await traces(group.id, 'dave');
  });

  const parts: Record<string, () => object | Promise<object>> = {
    'a commit cut short': () => ({ commit: cut(bundle.body.commit) }),
    'a commit with an extra byte': () => ({ commit: trailed(bundle.body.commit) }),
    'a Welcome cut short': () => ({ welcome: cut(bundle.body.welcome ?? '') }),
    'a Welcome with an extra byte': () => ({ welcome: trailed(bundle.body.welcome ?? '') }),
    'a Welcome of random bytes': () => ({ welcome: base64('noise') }),
    'a GroupInfo cut short': () => ({ groupInfo: cut(bundle.body.groupInfo) }),
    'a GroupInfo with an extra byte': () => ({ groupInfo: trailed(bundle.body.groupInfo) }),
    'a GroupInfo of random bytes': () => ({ groupInfo: base64('noise') }),
    'a GroupInfo whose tree is random bytes': async () => ({
      groupInfo: await withTree(bundle.newState, Buffer.from('noise')),
    }),
    'a GroupInfo whose tree is empty': async () => ({ groupInfo: await withTree(bundle.newState, Buffer.from([0])) }),
    'a GroupInfo with two trees': async () => {
      const { signature: _signature, ...tbs } = bundle.groupInfo;
      const trees = tbs.extensions.filter(({ extensionType }) => extensionType === 'ratchet_tree');
      return { groupInfo: await resigned(bundle.newState, { ...tbs, extensions: [...tbs.extensions, ...trees] }) };
    },
    'a well-formed GroupInfo with a malformed Welcome and a wrong epoch': async () => ({
      welcome: cut(bundle.body.welcome ?? ''),
      groupInfo: wireGroupInfo(await groupInfoOf(group.of('alice'))),
    }),
  };
  test.each(Object.entries(parts))('%s', async (_name, spoil) => {
    const body = { ...bundle.body, adds: ['dave'], ...(await spoil()) };
    expect(verdict(await commit(service, group.id, 'alice', body))).toEqual([400, 'malformed']);
    expect(await traces(group.id, 'dave')).toEqual(before);
  });
});

describe('parts that do not fit together refuse the whole bundle and change nothing (invariant 6)', () => {
  let group: Group;
  let bundle: Bundle;
  let before: unknown;
  beforeAll(async () => {
    group = await startGroup(service, ['alice', 'bob']);
    bundle = await makeBundle(group.of('alice'), [add(await newKeys('dave'))], { isPublic: true });
    before = await traces(group.id, 'dave');
  });

  /** A bundle of the same group and epoch with other proposals. */
  const fork = (...proposals: Proposal[]): Promise<Bundle> =>
    makeBundle(group.of('alice'), proposals, { isPublic: true });

  const parts: Record<string, [code: string, () => object | Promise<object>]> = {
    'a GroupInfo in the place of the Welcome': ['welcome-mismatch', () => ({ welcome: bundle.body.groupInfo })],
    'a Welcome in the place of the GroupInfo': ['group-info-mismatch', () => ({ groupInfo: bundle.body.welcome })],
    'a GroupInfo of another group': [
      'wrong-group',
      async () => {
        const { states } = await localGroup(['alice', 'bob']);
        const state = states.get('alice');
        return { groupInfo: state === undefined ? '' : (await makeBundle(state)).body.groupInfo };
      },
    ],
    'a GroupInfo of the epoch that the commit ends': [
      'group-info-mismatch',
      async () => ({ groupInfo: wireGroupInfo(await groupInfoOf(group.of('alice'))) }),
    ],
    'a GroupInfo of an epoch after the next one': [
      'group-info-mismatch',
      async () => ({ groupInfo: (await makeBundle(bundle.newState)).body.groupInfo }),
    ],
    'a GroupInfo whose signature is not valid': [
      'group-info-mismatch',
      () => {
        const signature = Buffer.from(bundle.groupInfo.signature);
        signature[5] = (signature[5] ?? 0) ^ 1;
        return { groupInfo: wireGroupInfo({ ...bundle.groupInfo, signature }) };
      },
    ],
    'a GroupInfo whose signer has no leaf': [
      'group-info-mismatch',
      async () => {
        const { signature: _signature, ...tbs } = bundle.groupInfo;
        return { groupInfo: await resigned(bundle.newState, { ...tbs, signer: 7 }) };
      },
    ],
    'a GroupInfo with a different confirmation tag': [
      'group-info-mismatch',
      async () => ({ groupInfo: (await fork(add(await newKeys('dave')))).body.groupInfo }),
    ],
    'a tree in which two leaves have the same keys': [
      'membership-mismatch',
      async () => {
        const tree = [...bundle.newState.ratchetTree];
        tree[2] = tree[0];
        return { groupInfo: await withTree(bundle.newState, encodeRatchetTree(tree)) };
      },
    ],
    'a Welcome of another commit': [
      'welcome-mismatch',
      async () => ({ welcome: (await fork(add(await newKeys('dave')))).body.welcome }),
    ],
    'a Welcome that names a key package twice': [
      'welcome-mismatch',
      async () => {
        const { welcome } = await createCommit(
          { state: group.of('alice'), cipherSuite: SUITE },
          { extraProposals: [add(await newKeys('dave'))] },
        );
        if (welcome === undefined) throw new Error('a commit that adds has a Welcome');
        const [secret] = welcome.secrets;
        const twice = { ...welcome, secrets: secret === undefined ? [] : [secret, secret] };
        return { welcome: wire({ wireformat: 'mls_welcome', welcome: twice }) };
      },
    ],
    'an Add of a user whom the request does not name': ['membership-mismatch', () => ({ adds: ['erin'] })],
    'a named user whom the commit does not add': ['membership-mismatch', () => ({ adds: ['dave', 'erin'] })],
    'no named user': ['membership-mismatch', () => ({ adds: [] })],
  };
  test.each(Object.entries(parts))('%s', async (_name, [code, spoil]) => {
    const body = { ...bundle.body, adds: ['dave'], ...(await spoil()) };
    expect(verdict(await commit(service, group.id, 'alice', body))).toEqual([422, code]);
    expect(await traces(group.id, 'dave')).toEqual(before);
  });

  test('a GroupInfo of an impossibly high epoch is refused as ahead', async () => {
    const { signature: _signature, ...tbs } = bundle.groupInfo;
    const groupContext = { ...tbs.groupContext, epoch: 2n ** 60n };
    const body = {
      ...bundle.body,
      adds: ['dave'],
      groupInfo: await resigned(bundle.newState, { ...tbs, groupContext }),
    };
    const answer = await commit(service, group.id, 'alice', body);
    expect(verdict(answer)).toEqual([409, 'epoch-ahead']);
    expect(answer.body).toMatchObject({ currentEpoch: 1, submittedEpoch: 2 ** 60 });
    expect(await traces(group.id, 'dave')).toEqual(before);
  });

  test('a public commit of another user is refused', async () => {
    const ofBob = await makeBundle(group.of('bob'), [], { isPublic: true });
    expect(verdict(await commit(service, group.id, 'alice', ofBob.body))).toEqual([403, 'identity-mismatch']);
    expect(await traces(group.id, 'dave')).toEqual(before);
  });
});

describe('the tree of the GroupInfo must match the members after the commit', () => {
  /** A private commit hides its changes, so only the tree shows them. */
  const update = async (group: Group, tree: Bundle): Promise<[number, unknown]> => {
    const { body } = await makeBundle(group.of('alice'));
    return verdict(await commit(service, group.id, 'alice', { commit: body.commit, groupInfo: tree.body.groupInfo }));
  };

  test('an additional leaf is refused', async () => {
    const group = await startGroup(service, ['alice', 'bob', 'carol']);
    const before = await traces(group.id, 'eve');
    const more = await makeBundle(group.of('alice'), [add(await newKeys('eve'))]);
    expect(await update(group, more)).toEqual([422, 'membership-mismatch']);
    expect(await traces(group.id, 'eve')).toEqual(before);
  });

  test('a missing leaf is refused', async () => {
    const group = await startGroup(service, ['alice', 'bob', 'carol']);
    const fewer = await makeBundle(group.of('alice'), removalOf(group.of('alice'), 'carol'));
    expect(await update(group, fewer)).toEqual([422, 'membership-mismatch']);
  });

  test('matching leaves are accepted, and the GroupInfo becomes the current one', async () => {
    const group = await startGroup(service, ['alice', 'bob', 'carol']);
    const same = await makeBundle(group.of('alice'));
    expect(verdict(await commit(service, group.id, 'alice', same.body))).toEqual([200, undefined]);
    const { body } = await service.ask(`GET /v1/conversations/${group.id}/group-info`, { user: 'bob' });
    expect(body).toEqual({ epoch: 2, groupInfo: same.body.groupInfo });
  });

  test('another device of a member adds no user', async () => {
    const group = await startGroup(service, ['alice', 'bob'], { groupInfo: 'optional' });
    const second = await makeBundle(group.of('alice'), [add(await newKeys('bob'))]);
    const { commit: bytes, welcome, groupInfo } = second.body;
    // With its tree it needs a Welcome: nobody could join with the new leaf.
    const bare = await commit(service, group.id, 'alice', { commit: bytes, groupInfo, adds: ['bob'] });
    expect([verdict(bare), welcome === undefined]).toEqual([[422, 'welcome-mismatch'], false]);
    expect(verdict(await commit(service, group.id, 'alice', { commit: bytes, adds: ['bob'] }))).toEqual([
      200,
      undefined,
    ]);
  });

  test.each([true, false])('a user with a pending removal may be in the tree or not (present: %s)', async (present) => {
    const group = await startGroup(service, ['alice', 'bob', 'carol']);
    const left = await service.ask(`DELETE /v1/conversations/${group.id}/members/carol`, { user: 'carol' });
    expect(left.status).toBe(200);
    const proposals = present ? [] : removalOf(group.of('alice'), 'carol');
    const bundle = await makeBundle(group.of('alice'), proposals);
    expect(verdict(await commit(service, group.id, 'alice', bundle.body))).toEqual([200, undefined]);
    const { body } = await service.ask(`GET /v1/conversations/${group.id}/members`, { user: 'bob' });
    expect(body).toMatchObject({ leaving: present ? ['carol'] : [] });
  });

  test('a leaf that names no user is refused', async () => {
    const group = await startGroup(service, ['alice', 'bob']);
    for (const identity of [Buffer.from([0xff, 0xfe]), Buffer.from('a\nb'), Buffer.alloc(0)]) {
      const nobody = await makeBundle(group.of('alice'), [add(await newKeys('nobody', identity))]);
      expect(await update(group, nobody)).toEqual([422, 'membership-mismatch']);
    }
  });

  test('where the policy does not require a tree, one above the limit, or none, is not looked at', async () => {
    const optional = { groupInfo: 'optional' };
    const blind = await startApi(database().pool, { treeCheckMaxBytes: 100 });
    try {
      const group = await startGroup(blind, ['alice', 'bob', 'carol'], optional);
      const more = await makeBundle(group.of('alice'), [add(await newKeys('eve'))]);
      const { body } = await makeBundle(group.of('alice'));
      const spoilt = { commit: body.commit, groupInfo: more.body.groupInfo };
      expect(verdict(await commit(blind, group.id, 'alice', spoilt))).toEqual([200, undefined]);
    } finally {
      await blind.close();
    }
    const group = await startGroup(service, ['alice', 'bob', 'carol'], optional);
    const more = await makeBundle(group.of('alice'), [add(await newKeys('eve'))], { tree: false });
    expect(await update(group, more)).toEqual([200, undefined]);
  });

  test('the same commit bytes are a retry, even with different other parts', async () => {
    const group = await startGroup(service, ['alice', 'bob']);
    const bundle = await makeBundle(group.of('alice'));
    const first = await commit(service, group.id, 'alice', bundle.body);
    const other = await makeBundle(bundle.newState);
    const again = await commit(service, group.id, 'alice', { ...bundle.body, groupInfo: other.body.groupInfo });
    expect([again.status, again.body]).toEqual([200, first.body]);
  });
});

describe('a new conversation', () => {
  const create = async (
    members: string[],
    tree: readonly string[],
    change: object = {},
  ): Promise<[number, unknown]> => {
    const { id, states } = await localGroup(tree);
    const state = states.get('alice');
    if (state === undefined) throw new Error('alice creates it');
    const groupInfo = wireGroupInfo(await groupInfoOf(state));
    const body = { id, epoch: 1, members, groupInfo, ...change };
    return verdict(await service.ask('POST /v1/conversations', { user: 'alice', body }));
  };

  test('must have exactly the users of its tree as members', async () => {
    expect(await create(['bob'], ['alice', 'bob'])).toEqual([201, undefined]);
    expect(await create(['bob', 'carol'], ['alice', 'bob'])).toEqual([422, 'membership-mismatch']);
    expect(await create([], ['alice', 'bob'])).toEqual([422, 'membership-mismatch']);
  });

  test('must have the epoch and group of its GroupInfo', async () => {
    expect(await create(['bob'], ['alice', 'bob'], { epoch: 2 })).toEqual([422, 'group-info-mismatch']);
    expect(await create(['bob'], ['alice', 'bob'], { id: newConversationId() })).toEqual([422, 'wrong-group']);
  });
});
