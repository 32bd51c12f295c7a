import { decodeMlsMessage, emptyPskIndex, joinGroup } from 'ts-mls';
import { makeKeyPackageRef } from 'ts-mls/keyPackage.js';
import { expect, test } from 'vitest';
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
  startGroup,
  verdict,
  wire,
} from '../../harness/mls/group.ts';

const { service } = useApi();

/** Uploads a key package of a user. */
async function upload(user: string): Promise<Keys> {
  const keys = await newKeys(user);
  const keyPackage = wire({ wireformat: 'mls_key_package', keyPackage: keys.publicPackage });
  const answer = await service.ask('PUT /v1/key-packages', { user, body: { keyPackages: [keyPackage] } });
  expect(answer.status).toBe(200);
  return keys;
}

async function claim(claimer: string, user: string, conversation: string): Promise<void> {
  const answer = await service.ask(`POST /v1/users/${user}/key-packages/claim`, {
    user: claimer,
    body: { conversation },
  });
  expect(answer.status).toBe(200);
  expect(answer.body.keyPackages).toHaveLength(1);
}

async function welcomesOf(user: string): Promise<{ id: string; conversation: string; welcome: string; seq: number }[]> {
  const { body } = await service.ask('GET /v1/welcomes', { user });
  return body.welcomes as { id: string; conversation: string; welcome: string; seq: number }[];
}

/** A commit of alice that adds these devices. */
function adding(group: Group, ...keys: Keys[]): Promise<Bundle> {
  return makeBundle(group.of('alice'), keys.map(add));
}

test('a Welcome that names two users reaches both after its commit is accepted, and each can join with it', async () => {
  const group = await startGroup(service, ['alice', 'bob']);
  const keys = [await upload('two-dave'), await upload('two-erin')] as const;
  const adds = keys.map(({ user }) => user);
  for (const user of adds) await claim('alice', user, group.id);
  const bundle = await adding(group, ...keys);
  expect(await welcomesOf('two-dave')).toEqual([]);
  expect(verdict(await commit(service, group.id, 'alice', { ...bundle.body, adds }))).toEqual([200, undefined]);
  for (const { user, publicPackage, privatePackage } of keys) {
    const [mine, ...more] = await welcomesOf(user);
    expect(more).toEqual([]);
    expect(mine).toMatchObject({ conversation: group.id, welcome: bundle.body.welcome, seq: 1, epoch: 2 });
    const [message] = decodeMlsMessage(new Uint8Array(Buffer.from(mine?.welcome ?? '', 'base64')), 0) ?? [];
    if (message?.wireformat !== 'mls_welcome') throw new Error('not a Welcome');
    const state = await joinGroup(message.welcome, publicPackage, privatePackage, emptyPskIndex, SUITE);
    expect(state.keySchedule.epochAuthenticator).toEqual(bundle.newState.keySchedule.epochAuthenticator);
  }
  expect(await welcomesOf('bob')).toEqual([]);
});

test('a Welcome for a key package that no member claimed is refused and changes nothing (invariant 6)', async () => {
  const group = await startGroup(service, ['alice', 'bob']);
  const dave = await upload('unclaimed-dave');
  const body = { ...(await adding(group, dave)).body, adds: [dave.user] };
  expect(verdict(await commit(service, group.id, 'alice', body))).toEqual([422, 'welcome-mismatch']);
  // A claim by somebody who is no member does not help.
  await claim('mallory', dave.user, group.id);
  expect(verdict(await commit(service, group.id, 'alice', body))).toEqual([422, 'welcome-mismatch']);
  expect(await welcomesOf(dave.user)).toEqual([]);
  const { body: details } = await service.ask(`GET /v1/conversations/${group.id}`, { user: 'alice' });
  expect(details).toMatchObject({ epoch: 1, lastSeq: 0, memberCount: 2 });
});

test('a Welcome for a key package that another commit used is refused', async () => {
  const [first, second] = [await startGroup(service, ['alice', 'bob']), await startGroup(service, ['alice', 'bob'])];
  const dave = await upload('used-dave');
  const answer = await service.ask(`POST /v1/users/${dave.user}/key-packages/claim`, { user: 'alice', body: {} });
  expect(answer.status).toBe(200);
  const change = async (group: Group): Promise<object> => ({ ...(await adding(group, dave)).body, adds: [dave.user] });
  expect(verdict(await commit(service, first.id, 'alice', await change(first)))).toEqual([200, undefined]);
  expect(verdict(await commit(service, second.id, 'alice', await change(second)))).toEqual([422, 'welcome-mismatch']);
});

test('a Welcome that names no key package is refused', async () => {
  const group = await startGroup(service, ['alice', 'bob']);
  const dave = await upload('nobody-dave');
  const bundle = await adding(group, dave);
  const [message] = decodeMlsMessage(new Uint8Array(Buffer.from(bundle.body.welcome ?? '', 'base64')), 0) ?? [];
  if (message?.wireformat !== 'mls_welcome') throw new Error('not a Welcome');
  const welcome = wire({ wireformat: 'mls_welcome', welcome: { ...message.welcome, secrets: [] } });
  const answer = await commit(service, group.id, 'alice', { ...bundle.body, welcome, adds: [dave.user] });
  expect(verdict(answer)).toEqual([422, 'welcome-mismatch']);
  expect(await welcomesOf(dave.user)).toEqual([]);
});

test('the Welcome of a public commit must name exactly the key packages that the commit adds', async () => {
  const group = await startGroup(service, ['alice', 'bob']);
  const [phone, tablet] = [await upload('exact-dave'), await upload('exact-erin')];
  for (const { user } of [phone, tablet]) await claim('alice', user, group.id);
  const change = [add(phone), add(tablet)];
  const both = await makeBundle(group.of('alice'), change, { isPublic: true });
  const one = await makeBundle(group.of('alice'), [add(phone)], { isPublic: true });
  const body = { ...one.body, welcome: both.body.welcome, adds: [phone.user] };
  expect(verdict(await commit(service, group.id, 'alice', body))).toEqual([422, 'welcome-mismatch']);
  const right = { ...both.body, adds: [phone.user, tablet.user] };
  expect(verdict(await commit(service, group.id, 'alice', right))).toEqual([200, undefined]);
});

test('a public commit without a Welcome uses up the key packages that it adds, each for one group', async () => {
  const start = (): Promise<Group> => startGroup(service, ['alice', 'bob'], { groupInfo: 'optional' });
  const groups = [await start(), await start()] as const;
  const dave = await upload('public-dave');
  const attempt = async (group: Group, keys: Keys): Promise<unknown> => {
    const { body } = await makeBundle(group.of('alice'), [add(keys)], { isPublic: true });
    // With a tree each new leaf needs a Welcome.
    return verdict(await commit(service, group.id, 'alice', { commit: body.commit, adds: [keys.user] }));
  };
  expect(await attempt(groups[0], dave)).toEqual([422, 'welcome-mismatch']);
  const claimed = await service.ask(`POST /v1/users/${dave.user}/key-packages/claim`, { user: 'alice', body: {} });
  expect(claimed.status).toBe(200);
  expect(await attempt(groups[0], dave)).toEqual([200, undefined]);
  expect(await attempt(groups[1], dave)).toEqual([422, 'welcome-mismatch']);
  // The service does not judge key packages that were never uploaded to it.
  expect(await attempt(groups[1], await newKeys('elsewhere-erin'))).toEqual([200, undefined]);
});

test('a Welcome for users whom the request does not add is refused', async () => {
  const group = await startGroup(service, ['alice', 'bob']);
  const dave = await upload('others-dave');
  await claim('alice', dave.user, group.id);
  const { commit: bytes, welcome } = (await adding(group, dave)).body;
  const attempt = async (adds: string[]): Promise<unknown> =>
    verdict(
      await commit(service, group.id, 'alice', {
        commit: bytes,
        welcome,
        adds,
        groupInfo: (await adding(group, dave)).body.groupInfo,
      }),
    );
  expect(await attempt(['others-erin'])).toEqual([422, 'welcome-mismatch']);
  expect(await attempt([dave.user, 'others-erin'])).toEqual([422, 'welcome-mismatch']);
  expect(await attempt([])).toEqual([422, 'welcome-mismatch']);
});

test('the Welcome of a lost commit is never readable, and its key package can be used in the next attempt (invariant 6)', async () => {
  const group = await startGroup(service, ['alice', 'bob']);
  const dave = await upload('lost-dave');
  await claim('alice', dave.user, group.id);
  const late = await adding(group, dave);
  const winner = await makeBundle(group.of('bob'));
  expect((await commit(service, group.id, 'bob', winner.body)).status).toBe(200);
  const adds = [dave.user];
  expect(verdict(await commit(service, group.id, 'alice', { ...late.body, adds }))).toEqual([409, 'epoch-conflict']);
  expect(await welcomesOf(dave.user)).toEqual([]);
  await deliver(group, 'bob', winner);
  const again = await adding(group, dave);
  expect(verdict(await commit(service, group.id, 'alice', { ...again.body, adds }))).toEqual([200, undefined]);
  expect(await welcomesOf(dave.user)).toMatchObject([{ welcome: again.body.welcome }]);
});

test('a key package that was replaced after its claim is stale, and the refusal names it', async () => {
  const group = await startGroup(service, ['alice', 'bob']);
  const dave = await upload('stale-dave');
  await claim('alice', dave.user, group.id);
  await upload(dave.user);
  const answer = await commit(service, group.id, 'alice', { ...(await adding(group, dave)).body, adds: [dave.user] });
  expect(verdict(answer)).toEqual([409, 'key-package-stale']);
  const ref = Buffer.from(await makeKeyPackageRef(dave.publicPackage, SUITE.hash)).toString('base64');
  expect(answer.body.refs).toEqual([ref]);
});
