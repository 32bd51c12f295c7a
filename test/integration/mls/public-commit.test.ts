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
  withTree,
} from '../../harness/mls/group.ts';

const { service } = useApi();

const USERS = ['alice', 'bob', 'carol'];

/** Carol's public commit; alice is admin. */
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

describe('the removals in a public commit are held against the tree of the epoch that it ends', () => {
  test('whoever loses its last leaf is named, with a tree or without one', async () => {
    const group = await startGroup(service, USERS);
    const removal = removalOf(group.of('carol'), 'bob');
    expect(await attempt(group, removal)).toEqual([422, 'membership-mismatch']);
    const { body } = await makeBundle(group.of('carol'), removal, { isPublic: true, tree: false });
    expect(verdict(await commit(service, group.id, 'carol', body))).toEqual([422, 'membership-mismatch']);
    expect(await members(group.id)).toEqual(USERS);
    expect(await attempt(group, removal, { removes: ['bob'] })).toEqual([200, undefined]);
    expect(await members(group.id)).toEqual(['alice', 'carol']);
  });

  test('whoever is named loses all its leaves', async () => {
    const group = await startGroup(service, USERS);
    expect(await attempt(group, [], { removes: ['bob'] })).toEqual([422, 'membership-mismatch']);
    const two = await withSecondDevice({});
    const [first] = removalOf(two.of('carol'), 'bob');
    if (first === undefined) throw new Error('bob has leaves');
    expect(await attempt(two, [first], { removes: ['bob'] })).toEqual([422, 'membership-mismatch']);
  });

  test('one device of somebody else is removed by those who may remove, and one of the own by its user', async () => {
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

  test('a blank leaf and the own one cannot be removed', async () => {
    const group = await startGroup(service, USERS);
    const [alice = -1] = leafIndexes(group.of('bob'), 'alice');
    const gone = await makeBundle(group.of('carol'), removalOf(group.of('carol'), 'bob'), { isPublic: true });
    expect(verdict(await commit(service, group.id, 'carol', { ...gone.body, removes: ['bob'] }))).toEqual([
      200,
      undefined,
    ]);
    // From a state of another group of the same id, in which that leaf is still there.
    const late = { ...gone.newState, ratchetTree: group.of('carol').ratchetTree };
    const blank = await makeBundle(late, removalOf(late, 'bob'), { isPublic: true, tree: false });
    expect(verdict(await commit(service, group.id, 'carol', blank.body))).toEqual([422, 'membership-mismatch']);
    expect(alice).toBe(0);
  });

  test('somebody who is leaving goes without being named', async () => {
    const group = await startGroup(service, USERS, { whoMayRemove: 'nobody' });
    await service.ask(`DELETE /v1/conversations/${group.id}/members/bob`, { user: 'bob' });
    expect(await attempt(group, removalOf(group.of('carol'), 'bob'))).toEqual([200, undefined]);
  });
});

describe('the tree that comes with a public commit is the one to which it leads', () => {
  test('additions take the leftmost blank leaves, after removals', async () => {
    const group = await startGroup(service, [...USERS, 'dave']);
    const change = [...removalOf(group.of('carol'), 'bob'), add(await newKeys('erin')), add(await newKeys('frank'))];
    const outcome = await attempt(group, change, { removes: ['bob'], adds: ['erin', 'frank'] });
    expect(outcome).toEqual([200, undefined]);
  });

  test('a leaf of the same user with other keys in the place of the old one is not', async () => {
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
