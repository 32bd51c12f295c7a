import { describe, expect, test } from 'vitest';
import { base64 } from '../../harness/api/conversations.ts';
import { privateMessage } from '../../harness/api/frames.ts';
import { useApi } from '../../harness/api/use-api.ts';
import {
  type Group,
  commit,
  deliver,
  groupInfoOf,
  makeBundle,
  makeExternal,
  newKeys,
  startGroup,
  verdict,
} from '../../harness/mls/group.ts';

// Where anyone may join, an outsider may read the GroupInfo. Its commits must not tell it more than that.

const { database, service } = useApi();

type Bundle = Awaited<ReturnType<typeof makeExternal>>;

async function joinOf(group: Group, user: string): Promise<Bundle> {
  return makeExternal(await groupInfoOf(group.of('alice')), await newKeys(user));
}

describe('an outsider of a group that anyone may join', () => {
  test('hears that the epoch is over, and not who ended it', async () => {
    const group = await startGroup(service, ['alice', 'bob'], { externalJoin: 'anyone' });
    const late = await joinOf(group, 'mallory');
    const bundle = await makeBundle(group.of('alice'));
    expect(verdict(await commit(service, group.id, 'alice', bundle.body))).toEqual([200, undefined]);
    const { requestId: _id, ...problem } = (await commit(service, group.id, 'mallory', late.body)).body;
    expect(problem).toEqual({
      type: '/docs/problems/epoch-conflict',
      title: 'Another commit ended this epoch first',
      status: 409,
      code: 'epoch-conflict',
      currentEpoch: 2,
      submittedEpoch: 1,
    });
    // A member who loses with the same commit learns both.
    const member = await commit(service, group.id, 'bob', (await makeBundle(group.of('bob'))).body);
    expect(member.body).toMatchObject({ code: 'epoch-conflict', winner: { seq: 1 }, after: 0 });
  });

  test('does not hold back members by commits that it loses', async () => {
    const group = await startGroup(service, ['alice', 'bob'], { externalJoin: 'anyone' });
    const late = await joinOf(group, 'mallory');
    const bundle = await makeBundle(group.of('alice'));
    await commit(service, group.id, 'alice', bundle.body);
    for (let i = 0; i < 3; i++) expect((await commit(service, group.id, 'mallory', late.body)).status).toBe(409);
    const { rows } = await database().pool.query(`select user_id from race where user_id = 'mallory'`);
    expect(rows).toEqual([]);
  });

  test('cannot find out which ids are in use, joins with any id, and its retry is recognized', async () => {
    const group = await startGroup(service, ['alice', 'bob'], { externalJoin: 'anyone' });
    const message = { id: 'secret', ciphertext: base64(privateMessage(group.id, 1)) };
    const sent = await service.ask(`POST /v1/conversations/${group.id}/messages`, { user: 'bob', body: message });
    expect(sent.status).toBe(200);
    const bundle = await joinOf(group, 'dave');
    const join = (): ReturnType<typeof commit> =>
      commit(service, group.id, 'dave', { ...bundle.body, id: 'secret' } as Bundle['body']);
    const first = await join();
    expect(verdict(first)).toEqual([200, undefined]);
    expect((await join()).body).toEqual(first.body);
    await deliver(group, 'dave', bundle);
  });
});
