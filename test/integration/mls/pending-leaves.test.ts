import type pg from 'pg';
import { describe, expect, test } from 'vitest';
import { useApi } from '../../harness/api/use-api.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import {
  type Group,
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
} from '../../harness/mls/group.ts';

// Leaves that should go, and that no commit has removed yet: of users who left, and of devices that joined again.

const { database, service } = useApi();
const ACCEPTED = [200, undefined];

async function pending(group: Group): Promise<pg.QueryResultRow[]> {
  const { rows } = await database().pool.query<pg.QueryResultRow>(
    `select user_id as user, reason, device_id as device from pending_removal p
     join conversation c on c.key = p.conversation where c.id = $1 order by 1, 2`,
    [group.id],
  );
  return rows;
}

async function listed(group: Group): Promise<unknown[]> {
  const { body } = await service.ask(`GET /v1/conversations/${group.id}/members`, { user: 'alice' });
  return [body.leaving, (body.leavingLeaves as { user: string }[] | undefined)?.map(({ user }) => user)];
}

/** Bob's device joins by an external commit, and takes out no leaf. */
async function joinAs(group: Group, device: string): Promise<void> {
  const bundle = await makeExternal(await groupInfoOf(group.of('alice')), await newKeys('bob'));
  const headers = { authorization: `Bearer ${await tokenOf('bob', { device })}` };
  const answer = await service.ask(`POST /v1/conversations/${group.id}/commits`, { body: bundle.body, headers });
  expect(verdict(answer)).toEqual(ACCEPTED);
  await deliver(group, 'bob', bundle);
}

describe('a device that lost everything and joins again', () => {
  test('leaves a leaf that should go, which any member may remove', async () => {
    const group = await startGroup(service, ['alice', 'bob', 'carol'], { whoMayRemove: 'admin' });
    await joinAs(group, 'phone');
    expect(await pending(group)).toEqual([]);
    await joinAs(group, 'laptop');
    expect(await pending(group)).toEqual([]);
    await joinAs(group, 'phone');
    expect(await pending(group)).toEqual([{ user: 'bob', reason: 'ghost', device: 'phone' }]);
    expect(await listed(group)).toEqual([[], ['bob']]);
    // The second leaf of bob is the first of the phone.
    const [, ghost, laptop] = leafIndexes(group.of('carol'), 'bob');
    const taking = async (...removed: (number | undefined)[]): Promise<ReturnType<typeof verdict>> => {
      const proposals = removed.map((at = 0) => ({ proposalType: 'remove' as const, remove: { removed: at } }));
      const bundle = await makeBundle(group.of('carol'), proposals, { isPublic: true });
      const answer = await commit(service, group.id, 'carol', bundle.body);
      if (answer.status === 200) await deliver(group, 'carol', bundle);
      return verdict(answer);
    };
    expect(await taking(laptop)).toEqual([403, 'not-allowed']);
    expect(await taking(ghost, laptop)).toEqual([403, 'not-allowed']);
    expect(await taking(ghost)).toEqual(ACCEPTED);
    expect(await pending(group)).toEqual([]);
    const { rows } = await database().pool.query(
      `select device_id from device_leaf d join conversation c on c.key = d.conversation where c.id = $1 order by 1`,
      [group.id],
    );
    expect(rows).toEqual([{ device_id: 'laptop' }, { device_id: 'phone' }]);
  });

  test('of which nothing is known under the name default', async () => {
    const group = await startGroup(service, ['alice', 'bob']);
    await joinAs(group, 'default');
    await joinAs(group, 'default');
    expect(await pending(group)).toEqual([]);
  });
});

describe('the leaf of a user who left', () => {
  test.each([false, true])(
    'may stay after a commit that names the user, and stays pending; public: %s',
    async (isPublic) => {
      const group = await startGroup(service, ['alice', 'bob', 'carol'], { whoMayRemove: 'admin' });
      const kept = await makeBundle(group.of('carol'), [], { isPublic });
      const send = async (removes: string[]): Promise<ReturnType<typeof verdict>> =>
        verdict(await commit(service, group.id, 'carol', { ...kept.body, removes }));
      expect((await send(['bob']))[0]).toBe(403);
      await service.ask(`DELETE /v1/conversations/${group.id}/members/bob`, { user: 'bob' });
      expect(await send(['bob', 'alice'])).toEqual([403, 'not-allowed']);
      expect(await send(['bob'])).toEqual(ACCEPTED);
      // A retry is the same request, although the user stays.
      expect(await send(['bob'])).toEqual(ACCEPTED);
      await deliver(group, 'carol', kept);
      expect([await listed(group), await pending(group)]).toEqual([
        [['bob'], undefined],
        [{ user: 'bob', reason: 'left', device: '' }],
      ]);
      const removal = await makeBundle(group.of('carol'), removalOf(group.of('carol'), 'bob'), { isPublic });
      expect(verdict(await commit(service, group.id, 'carol', { ...removal.body, removes: ['bob'] }))).toEqual(
        ACCEPTED,
      );
      expect([await listed(group), await pending(group)]).toEqual([[[], undefined], []]);
    },
  );

  test.each([false, true])('of a member must not stay; public: %s', async (isPublic) => {
    const group = await startGroup(service, ['alice', 'bob', 'carol']);
    const kept = await makeBundle(group.of('carol'), [], { isPublic });
    const answer = await commit(service, group.id, 'carol', { ...kept.body, removes: ['bob'] });
    expect(verdict(answer)).toEqual([422, 'membership-mismatch']);
  });
});
