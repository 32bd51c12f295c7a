import { randomBytes } from 'node:crypto';
import type { BuiltCommit, DeviceIdentity, GroupState, MlsLibrary } from '../../client/testing.ts';
import { buildCommit, planAdd, planRemove, trustingMls } from '../../client/testing.ts';
import { type HttpSender, expectStatus, makeHttpSender } from '../load/http-sender.ts';
import { describe } from '../load/closed-loop.ts';
import { makeLatencyRecorder } from '../load/histogram.ts';
import { makeTokensOf } from '../load/tokens.ts';
import type { CaseContext } from './case.ts';
import { type Measurement, toMeasurement } from './measurement.ts';

const MEMBERS = 50;
/** Users who join in turn: each commit adds one of them and removes the previous one. */
const JOINERS = 2;
/** Commits of each kind for each second of the measurement, and before it. Making one takes longer than applying it. */
const PER_SECOND = 6;
const WARM_UP = 5;
const GROUP_ID_BYTES = 16;
const EMPTY_EPOCH = 1;
const BARE = { authenticatedData: new Uint8Array() };

interface Group {
  readonly id: string;
  readonly bodies: readonly string[];
}

/**
 * Commits in a group of 50 (ts-mls). `commit-50` adds a member by a claimed key package, with a Welcome and a GroupInfo
 * that contains the tree, and removes the previously added member. `commit-50-bare` only refreshes keys in a similar
 * group, without Welcome and GroupInfo. All frames are made beforehand. Then the two kinds are sent alternately.
 */
export async function measureCommits({ contender, measureMs }: CaseContext): Promise<Measurement[]> {
  const http = makeHttpSender(contender.url, 4);
  try {
    const count = WARM_UP + Math.ceil((PER_SECOND * measureMs) / 1000);
    const mls = await trustingMls();
    const users = Array.from({ length: MEMBERS }, (_, number) => `${randomBytes(9).toString('base64url')}-${number}`);
    const [token = ''] = await makeTokensOf(users.slice(0, 1));
    const joiners = users.slice(0, JOINERS).map((user) => `${user}-joiner`);
    for (const [i, joinerToken] of (await makeTokensOf(joiners)).entries()) {
      await uploadKeyPackages(http, joiners[i] ?? '', joinerToken, Math.ceil(count / JOINERS), mls);
    }
    const kinds = [
      { load: 'commit-50', group: await bundles(http, token, users, joiners, count, mls) },
      { load: 'commit-50-bare', group: await bareCommits(http, token, users, count, mls) },
    ].map((kind) => ({ ...kind, recorder: makeLatencyRecorder(), failures: [] as string[] }));
    for (let i = 0; i < count; i++) {
      for (const { group, recorder, failures } of kinds) {
        // Each commit builds on the one before, so no commit after a failure could be accepted.
        if (failures.length > 0) continue;
        const from = performance.now();
        try {
          await post(http, `/v1/conversations/${group.id}/commits`, token, group.bodies[i] ?? '');
          if (i >= WARM_UP) recorder.record(performance.now() - from);
        } catch (error) {
          failures.push(describe(error));
        }
      }
    }
    return kinds.map(({ load, group, recorder, failures }) => {
      const latency = recorder.summary();
      const result = { seconds: (latency.mean * latency.count) / 1000, latency, failures };
      const measured = toMeasurement(load, contender.name, result);
      return { ...measured, values: { ...measured.values, bodyKb: (group.bodies.at(-1)?.length ?? 0) / 1024 } };
    });
  } finally {
    await http.close();
  }
}

async function bundles(
  http: HttpSender,
  token: string,
  users: readonly string[],
  joiners: readonly string[],
  count: number,
  mls: MlsLibrary,
): Promise<Group> {
  const { id, state: first } = await newGroup(http, token, users, {}, mls);
  let state = first;
  const bodies: string[] = [];
  for (let i = 0; i < count; i++) {
    const joiner = joiners[i % joiners.length] ?? '';
    const claimed = await post(
      http,
      `/v1/users/${joiner}/key-packages/claim`,
      token,
      JSON.stringify({ conversation: id }),
    );
    const [{ keyPackage } = { keyPackage: '' }] = (JSON.parse(claimed) as { keyPackages: { keyPackage: string }[] })
      .keyPackages;
    const leaving = joiners.filter((user) => user !== joiner);
    const change = [
      ...(planAdd([await mls.readKeyPackage(keyPackage)])(mls.view(state)) ?? []),
      ...(planRemove(leaving)(mls.view(state)) ?? []),
    ];
    const built: BuiltCommit = await buildCommit(state, change, mls, BARE);
    bodies.push(JSON.stringify(built.bundle));
    state = built.newState;
  }
  return { id, bodies };
}

async function bareCommits(
  http: HttpSender,
  token: string,
  users: readonly string[],
  count: number,
  mls: MlsLibrary,
): Promise<Group> {
  const { id, state: first } = await newGroup(http, token, users, { groupInfo: 'optional' }, mls);
  let state = first;
  const bodies: string[] = [];
  for (let i = 0; i < count; i++) {
    const { bundle, newState } = await buildCommit(state, [], mls, BARE);
    bodies.push(JSON.stringify({ commit: bundle.commit }));
    state = newState;
  }
  return { id, bodies };
}

/** Makes a group of all users with one leaf each, and its conversation, which begins at epoch 1. */
async function newGroup(
  http: HttpSender,
  token: string,
  users: readonly string[],
  policy: Readonly<Record<string, string>>,
  mls: MlsLibrary,
): Promise<{ id: string; state: GroupState }> {
  const [creator = '', ...others] = users;
  const groupId = new Uint8Array(randomBytes(GROUP_ID_BYTES));
  const id = Buffer.from(groupId).toString('base64url');
  const empty = await mls.create(groupId, await newIdentity(creator, mls));
  const packages = await Promise.all(
    others.map(async (user) => mls.readKeyPackage((await mls.newKeyPackage(await newIdentity(user, mls))).message)),
  );
  const { newState: state } = await buildCommit(empty, planAdd(packages)(mls.view(empty)) ?? [], mls, BARE);
  const groupInfo = await mls.groupInfo(state);
  const body = { id, protocol: 'mls', epoch: EMPTY_EPOCH, members: users, groupInfo, policy };
  await post(http, '/v1/conversations', token, JSON.stringify(body), 201);
  return { id, state };
}

async function uploadKeyPackages(
  http: HttpSender,
  user: string,
  token: string,
  count: number,
  mls: MlsLibrary,
): Promise<void> {
  const packages = await Promise.all(
    Array.from({ length: count }, async () => mls.newKeyPackage(await newIdentity(user, mls))),
  );
  const keyPackages = packages.map(({ message }) => message);
  await post(http, '/v1/key-packages', token, JSON.stringify({ keyPackages }));
}

async function newIdentity(user: string, mls: MlsLibrary): Promise<DeviceIdentity> {
  return { user, device: 'bench', signatureKeyPair: await mls.newSignatureKeyPair() };
}

/** @throws Error unless the answer has the expected status */
async function post(http: HttpSender, path: string, token: string, body: string, expected = 200): Promise<string> {
  return expectStatus(await http.post(path, token, body), expected);
}
