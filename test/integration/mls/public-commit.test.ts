import type { Proposal } from 'ts-mls';
import { encodeRatchetTree } from 'ts-mls/ratchetTree.js';
import { describe, expect, test } from 'vitest';
import { useApi } from '../../harness/api/use-api.ts';
import {
  type Group,
  add,
  commit,
  deliver,
  groupInfoOf,
  leafIndexes,
  makeBundle,
  makeExternal,
  newKeys,
  removalOf,
  startGroup,
  verdict,
  wire,
  withTree,
} from '../../harness/mls/group.ts';

const { service } = useApi();

const USERS = ['alice', 'bob', 'carol'];

/** Sends a public commit of carol. Alice is admin. */
async function attempt(group: Group, proposals: readonly Proposal[], request: object = {}): Promise<unknown> {
  const { body } = await makeBundle(group.of('carol'), proposals, { isPublic: true });
  const { welcome: _welcome, ...parts } = body;
  return verdict(await commit(service, group.id, 'carol', { ...parts, ...request }));
}

async function members(id: string): Promise<string[]> {
  const { body } = await service.ask(`GET /v1/conversations/${id}/members`, { user: 'alice' });
  return (body.members as { user: string }[]).map(({ user }) => user);
}

/** A group in which bob has two devices. */
async function withSecondDevice(policy: Readonly<Record<string, unknown>>): Promise<Group> {
  const group = await startGroup(service, USERS, policy);
  const second = await makeExternal(await groupInfoOf(group.of('bob')), await newKeys('bob'));
  expect(verdict(await commit(service, group.id, 'bob', second.body))).toEqual([200, undefined]);
  await deliver(group, 'bob-2', second);
  return group;
}

describe('the service checks removals in a public commit against the tree of the epoch that it ends', () => {
  test('a user who loses all leaves must be named, with or without a tree', async () => {
    const group = await startGroup(service, USERS);
    const removal = removalOf(group.of('carol'), 'bob');
    expect(await attempt(group, removal)).toEqual([422, 'membership-mismatch']);
    const { body } = await makeBundle(group.of('carol'), removal, { isPublic: true, tree: false });
    expect(verdict(await commit(service, group.id, 'carol', body))).toEqual([422, 'membership-mismatch']);
    expect(await members(group.id)).toEqual(USERS);
    expect(await attempt(group, removal, { removes: ['bob'] })).toEqual([200, undefined]);
    expect(await members(group.id)).toEqual(['alice', 'carol']);
  });

  test('a named user must lose all leaves', async () => {
    const group = await startGroup(service, USERS);
    expect(await attempt(group, [], { removes: ['bob'] })).toEqual([422, 'membership-mismatch']);
    const two = await withSecondDevice({});
    const [first] = removalOf(two.of('carol'), 'bob');
    if (first === undefined) throw new Error('bob has leaves');
    expect(await attempt(two, [first], { removes: ['bob'] })).toEqual([422, 'membership-mismatch']);
  });

  test('users who may remove can remove one device of another user, and every user one of its own devices', async () => {
    const guarded = await withSecondDevice({ whoMayRemove: 'admin' });
    const [first] = removalOf(guarded.of('carol'), 'bob');
    if (first === undefined) throw new Error('bob has leaves');
    expect(await attempt(guarded, [first])).toEqual([403, 'not-allowed']);
    const own = await makeBundle(guarded.of('bob-2'), [first], { isPublic: true });
    expect(verdict(await commit(service, guarded.id, 'bob', own.body))).toEqual([200, undefined]);

    const open = await withSecondDevice({});
    const [stale] = removalOf(open.of('carol'), 'bob');
    if (stale === undefined) throw new Error('bob has leaves');
    expect(await attempt(open, [stale])).toEqual([200, undefined]);
    expect(await members(open.id)).toEqual(USERS);
  });

  test('a blank leaf and the own leaf cannot be removed', async () => {
    const group = await startGroup(service, USERS);
    const [alice = -1] = leafIndexes(group.of('bob'), 'alice');
    const gone = await makeBundle(group.of('carol'), removalOf(group.of('carol'), 'bob'), { isPublic: true });
    expect(verdict(await commit(service, group.id, 'carol', { ...gone.body, removes: ['bob'] }))).toEqual([
      200,
      undefined,
    ]);
    // The commit comes from a state in which that leaf is still there.
    const late = { ...gone.newState, ratchetTree: group.of('carol').ratchetTree };
    const blank = await makeBundle(late, removalOf(late, 'bob'), { isPublic: true, tree: false });
    expect(verdict(await commit(service, group.id, 'carol', blank.body))).toEqual([422, 'membership-mismatch']);
    expect(alice).toBe(0);
  });

  test('a user with a pending removal need not be named', async () => {
    const group = await startGroup(service, USERS, { whoMayRemove: 'nobody' });
    await service.ask(`DELETE /v1/conversations/${group.id}/members/bob`, { user: 'bob' });
    expect(await attempt(group, removalOf(group.of('carol'), 'bob'))).toEqual([200, undefined]);
  });
});

describe('the tree of a public commit must be the result of the commit', () => {
  test('additions fill the leftmost blank leaves after the removals', async () => {
    const group = await startGroup(service, [...USERS, 'dave']);
    const adds = ['leftmost-erin', 'leftmost-frank'];
    const devices = await Promise.all(adds.map((user) => newKeys(user)));
    for (const { user, publicPackage: keyPackage } of devices) {
      const keyPackages = [wire({ wireformat: 'mls_key_package', keyPackage })];
      await service.ask('PUT /v1/key-packages', { user, body: { keyPackages } });
      await service.ask(`POST /v1/users/${user}/key-packages/claim`, { user: 'carol', body: {} });
    }
    const change = [...removalOf(group.of('carol'), 'bob'), ...devices.map(add)];
    const { body } = await makeBundle(group.of('carol'), change, { isPublic: true });
    const outcome = await commit(service, group.id, 'carol', { ...body, removes: ['bob'], adds });
    expect(verdict(outcome)).toEqual([200, undefined]);
  });

  test('a tree with other keys in a leaf of the same user is refused', async () => {
    const group = await startGroup(service, USERS);
    const { body, newState } = await makeBundle(group.of('carol'), [], { isPublic: true });
    const [bob = 0] = leafIndexes(newState, 'bob');
    const tree = [...newState.ratchetTree];
    tree[2 * bob] = { nodeType: 'leaf', leaf: (await newKeys('bob')).publicPackage.leafNode };
    const groupInfo = await withTree(newState, encodeRatchetTree(tree));
    const answer = await commit(service, group.id, 'carol', { ...body, groupInfo });
    expect(verdict(answer)).toEqual([422, 'group-info-mismatch']);
  });
});
