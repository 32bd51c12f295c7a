import { createProposal } from 'ts-mls';
import { describe, expect, test } from 'vitest';
import type { Answer } from '../../../tools/harness/answer.ts';
import { useApi } from '../../harness/api/use-api.ts';
import {
  type Bundle,
  type Group,
  type Keys,
  SUITE,
  add,
  commit,
  deliver,
  makeBundle,
  newKeys,
  removalOf,
  startGroup,
  verdict,
  wire,
} from '../../harness/mls/group.ts';

// One member claims a key package and proposes to add it; another commits that, with the Welcome.

const { database, service } = useApi();
const ACCEPTED = [200, undefined];
const REFUSED = [422, 'welcome-mismatch'];
let count = 0;

async function upload(isLastResort = false): Promise<Keys> {
  const keys = await newKeys(`guest-${count++}`);
  const keyPackage = wire({ wireformat: 'mls_key_package', keyPackage: keys.publicPackage });
  await service.ask('PUT /v1/key-packages', { user: keys.user, body: { keyPackages: [keyPackage] } });
  // ts-mls makes no package with the extension; what the service does with one depends on this column alone.
  if (isLastResort) {
    await database().pool.query('update key_package set last_resort = true where user_id = $1', [keys.user]);
  }
  return keys;
}

async function claim(claimer: string, { user }: Keys, body: object = {}): Promise<void> {
  const answer = await service.ask(`POST /v1/users/${user}/key-packages/claim`, { user: claimer, body });
  expect(answer.body.keyPackages).toHaveLength(1);
}

/** The claimer proposes to add the device, publicly or not, and the committer takes that in. */
async function proposedAndCommitted(
  group: Group,
  keys: Keys,
  [claimer, committer]: readonly [string, string],
  isPublic: boolean,
): Promise<[Bundle, Answer]> {
  const { message } = await createProposal(group.of(claimer), isPublic, add(keys), SUITE);
  const body = { id: `add-${keys.user}`, ciphertext: wire(message) };
  const sent = await service.ask(`POST /v1/conversations/${group.id}/messages`, { user: claimer, body });
  expect(sent.status).toBe(200);
  const bundle = await makeBundle(group.of(committer), [add(keys)], { isPublic });
  return [bundle, await commit(service, group.id, committer, { ...bundle.body, adds: [keys.user] })];
}

describe('a claim serves every current member', () => {
  const cases = [false, true].flatMap((isPublic) =>
    [false, true].flatMap((isBound) => [false, true].map((isLastResort) => ({ isPublic, isBound, isLastResort }))),
  );
  test.each(cases)('public $isPublic, for the conversation $isBound, last resort $isLastResort', async (one) => {
    const group = await startGroup(service, ['alice', 'bob', 'carol']);
    const keys = await upload(one.isLastResort);
    await claim('bob', keys, one.isBound ? { conversation: group.id } : {});
    const [, answer] = await proposedAndCommitted(group, keys, ['bob', 'carol'], one.isPublic);
    expect(verdict(answer)).toEqual(ACCEPTED);
    const { body } = await service.ask('GET /v1/welcomes', { user: keys.user });
    expect(body.welcomes).toMatchObject([{ conversation: group.id }]);
  });

  test('also when the claimer has just left, and not when somebody else removed it', async () => {
    const left = await startGroup(service, ['alice', 'bob', 'carol']);
    const keys = await upload();
    await claim('bob', keys, { conversation: left.id });
    await service.ask(`DELETE /v1/conversations/${left.id}/members/bob`, { user: 'bob' });
    const bundle = await makeBundle(left.of('carol'), [add(keys)]);
    expect(verdict(await commit(service, left.id, 'carol', { ...bundle.body, adds: [keys.user] }))).toEqual(ACCEPTED);

    const group = await startGroup(service, ['alice', 'bob', 'carol']);
    const others = await upload();
    await claim('bob', others, { conversation: group.id });
    const removal = await makeBundle(group.of('alice'), removalOf(group.of('alice'), 'bob'));
    expect((await commit(service, group.id, 'alice', { ...removal.body, removes: ['bob'] })).status).toBe(200);
    await deliver(group, 'alice', removal);
    const late = await makeBundle(group.of('carol'), [add(others)]);
    expect(verdict(await commit(service, group.id, 'carol', { ...late.body, adds: [others.user] }))).toEqual(REFUSED);
  });
});

describe('a claim does not serve', () => {
  test('a member of another conversation, or a conversation of which the claimer is no member', async () => {
    const [group, other] = [await startGroup(service, ['alice', 'bob']), await startGroup(service, ['alice', 'bob'])];
    const bound = await upload();
    await claim('bob', bound, { conversation: other.id });
    const strange = await upload();
    await claim('mallory', strange, { conversation: group.id });
    for (const keys of [bound, strange]) {
      const bundle = await makeBundle(group.of('alice'), [add(keys)]);
      expect(verdict(await commit(service, group.id, 'alice', { ...bundle.body, adds: [keys.user] }))).toEqual(REFUSED);
    }
  });

  test('after a day, or a second time', async () => {
    const [group, other] = [await startGroup(service, ['alice', 'bob']), await startGroup(service, ['alice', 'bob'])];
    const keys = await upload();
    await claim('bob', keys);
    await database().pool.query(
      `update claim set at = at - interval '25 hours' where ref in (
      select ref from key_package where user_id = $1)`,
      [keys.user],
    );
    const bundle = await makeBundle(group.of('alice'), [add(keys)]);
    const send = (): Promise<Answer> => commit(service, group.id, 'alice', { ...bundle.body, adds: [keys.user] });
    expect(verdict(await send())).toEqual([409, 'key-package-stale']);
    await database().pool.query('update claim set at = now()');
    expect(verdict(await send())).toEqual(ACCEPTED);
    const again = await makeBundle(other.of('alice'), [add(keys)]);
    expect(verdict(await commit(service, other.id, 'alice', { ...again.body, adds: [keys.user] }))).toEqual(REFUSED);
  });
});

describe('a new leaf needs a secret in the Welcome', () => {
  test.each([false, true])('of a new user and of a further device, in a public commit: %s', async (isPublic) => {
    const group = await startGroup(service, ['alice', 'bob']);
    const keys = await upload();
    await claim('alice', keys);
    const { welcome: _left, ...body } = (await makeBundle(group.of('alice'), [add(keys)], { isPublic })).body;
    expect(verdict(await commit(service, group.id, 'alice', { ...body, adds: [keys.user] }))).toEqual(REFUSED);
    const device = await makeBundle(group.of('alice'), [add(await newKeys('bob'))], { isPublic });
    const { commit: bytes, groupInfo } = device.body;
    expect(verdict(await commit(service, group.id, 'alice', { commit: bytes, groupInfo, adds: ['bob'] }))).toEqual(
      REFUSED,
    );
    // The same for one of two: the Welcome of another commit has one secret too few.
    const two = [keys, await upload()] as const;
    await claim('alice', two[1]);
    const short = (await makeBundle(group.of('alice'), [add(keys)], { isPublic: false })).body;
    const both = (await makeBundle(group.of('alice'), two.map(add))).body;
    const mixed = { ...both, welcome: short.welcome, adds: [keys.user] };
    expect((await commit(service, group.id, 'alice', mixed)).status).toBe(422);
  });

  test('and one that was welcomed before is not new, although somebody left it out of a tree', async () => {
    const group = await startGroup(service, ['alice', 'bob']);
    const keys = await upload();
    await claim('alice', keys);
    const first = await makeBundle(group.of('alice'), [add(keys)]);
    expect((await commit(service, group.id, 'alice', { ...first.body, adds: [keys.user] })).status).toBe(200);
    const { rows } = await database().pool.query('select leaf_node from key_package where user_id = $1', [keys.user]);
    const refused = await database().pool.query(
      `select new_leaves_refusal(c, $2, '{}') as known, new_leaves_refusal(c, $3, '{}') ->> 'code' as unknown
       from conversation c where id = $1`,
      [group.id, rows.map((row: { leaf_node: Buffer }) => row.leaf_node), [Buffer.alloc(32)]],
    );
    expect(refused.rows).toEqual([{ known: null, unknown: 'welcome-mismatch' }]);
  });

  test('and a lie about the tree does not make the honest leaves new: the commits of others still count', async () => {
    const group = await startGroup(service, ['alice', 'bob', 'mallory']);
    const other = await newKeys('bob');
    const keyPackage = wire({ wireformat: 'mls_key_package', keyPackage: other.publicPackage });
    await service.ask('PUT /v1/key-packages', { user: 'bob', body: { keyPackages: [keyPackage] } });
    await claim('mallory', other);
    // What the members get changes nothing; what the service gets has another leaf of bob in place of his own.
    const seen = await makeBundle(group.of('mallory'));
    const lie = await makeBundle(group.of('mallory'), [...removalOf(group.of('mallory'), 'bob'), add(other)]);
    const body = { ...lie.body, commit: seen.body.commit, adds: ['bob'] };
    expect(verdict(await commit(service, group.id, 'mallory', body))).toEqual(ACCEPTED);
    await deliver(group, 'mallory', seen);
    const honest = await makeBundle(group.of('alice'));
    expect(verdict(await commit(service, group.id, 'alice', honest.body))).toEqual(ACCEPTED);
  });
});
