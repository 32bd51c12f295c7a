import pLimit from 'p-limit';
import { expect, test } from 'vitest';
import type { MlsDevice, MlsGroup } from '../../client/index.ts';
import { encodeMessage, loadSuite, makeKeyPackage } from '../../client/testing.ts';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { agree, deviceOpener, textsOf } from '../harness/mls-devices.ts';
import { print } from '../harness/print.ts';
import { useService } from '../harness/service.ts';

/** A group of the default size: a few complete clients, and members who published key packages and are never online. */
const MEMBERS = 1000;
const CLIENTS = 20;
/** The limits that a new installation has. */
const LIMITS = {
  RATE_LIMIT_MESSAGES: '60000',
  RATE_LIMIT_COMMITS: '6000',
  RATE_LIMIT_WRITES: '12000',
  RATE_LIMIT_READS: '60000',
  RATE_LIMIT_CLAIMS: '300',
  RATE_LIMIT_CLAIMED_USERS: '1000',
  RATE_LIMIT_COST: '15000',
};
const service = useService({ apis: 1, workers: 1, env: LIMITS });
const open = deviceOpener(service);

const times: string[] = [];
async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const result = await work();
  times.push(`${what.padEnd(60)} ${((performance.now() - startedAt) / 1000).toFixed(2).padStart(8)} s`);
  return result;
}

/** Publishes a real key package of a user who then goes offline. */
async function publish(user: string): Promise<void> {
  const suite = await loadSuite();
  const signatureKeyPair = await suite.signature.keygen();
  const { publicPackage } = await makeKeyPackage({ user, signatureKeyPair }, suite);
  const keyPackage = encodeMessage({ wireformat: 'mls_key_package', keyPackage: publicPackage });
  await service()
    .clientOf(user, { device: 'phone' })
    .uploadKeyPackages({ keyPackages: [keyPackage] });
}

test('a group of 1,000 is made, used, and left by half of its members', async () => {
  const parallel = pLimit(16);
  const names = Array.from({ length: CLIENTS }, (_, i) => `client-${i}`);
  const offline = Array.from({ length: MEMBERS - CLIENTS }, (_, i) => `offline-${i}`);
  const devices = await timed(`${CLIENTS} clients open`, async () => {
    const opened: MlsDevice[] = [];
    for (const name of names) opened.push((await open(name, { updateOnJoin: false })).device);
    return opened;
  });
  await timed(`${offline.length} key packages are made and published`, () => parallel.map(offline, publish));

  const [first, ...others] = devices;
  if (first === undefined) expect.unreachable();
  const created = await first.createGroup();
  const { id } = created;
  const invitation = await timed('one client claims 999 key packages and adds them', () =>
    first.invite(id, ...names.slice(1), ...offline),
  );
  expect(invitation).toMatchObject({ exhausted: [], missing: [] });
  expect(invitation.invited).toHaveLength(MEMBERS - 1);
  expect(created.epoch).toBe(1);
  await timed(`${others.length} clients join by their Welcomes`, async () => {
    for (const device of others) expect(await device.joinGroups()).toHaveLength(1);
  });
  const groups = devices.map((device) => device.group(id));
  await noteSizes(id);
  expect(agree(groups)).toBe(true);

  await timed(`${CLIENTS} messages`, async () => {
    for (const group of groups) await group.send(`from ${group.members.length}`);
  });
  await timed(`each of ${CLIENTS} clients reads them`, async () => {
    for (const group of groups) await group.receive();
  });
  for (const group of groups) expect(textsOf(group)).toHaveLength(CLIENTS);
  await timed('an update of one client, and the others follow', async () => {
    await groups[1]?.update();
    for (const group of groups) await group.receive();
  });
  expect(agree(groups)).toBe(true);

  // Half leaves: most of them from devices that nobody has seen in this group, and half of the clients.
  const leavers = groups.slice(CLIENTS / 2);
  const leaving = offline.slice(0, MEMBERS / 2 - leavers.length);
  await timed(`${MEMBERS / 2} members leave`, async () => {
    await parallel.map(leaving, (user) => service().clientOf(user, { device: 'phone' }).leave(id, user));
    for (const group of leavers) await group.leave();
  });
  const staying = groups.slice(0, CLIENTS / 2);
  const before = created.epoch;
  await timed('commits that remove them', () => removeAll(staying));
  const commits = created.epoch - before;
  expect(commits).toBeGreaterThan(0);
  expect(commits).toBeLessThanOrEqual(5);
  times.push(`commits that removed ${MEMBERS / 2} members: ${commits}`);
  await timed(`${staying.length} clients follow`, async () => {
    for (const group of staying) await group.receive();
  });
  expect(agree(staying)).toBe(true);
  for (const group of staying) expect(group.members).toHaveLength(MEMBERS / 2);
  const { memberCount } = await service().clientOf('client-0').conversation(id);
  expect(memberCount).toBe(MEMBERS / 2);

  await staying[3]?.send('half of us');
  for (const group of staying)
    expect(textsOf(group).concat((await group.receive()).map(({ text }) => text))).toContain('half of us');
  await checkInvariants(service().pool, id);
  print(times.join('\n'));
}, 600_000);

/** Bytes of what the commit that added everybody left in the database. */
async function noteSizes(id: string): Promise<void> {
  const { rows } = await service().pool.query<Record<string, number>>(
    `select octet_length(e.ciphertext) as commit, octet_length(w.welcome) as welcome, octet_length(g.group_info) as "groupInfo"
     from conversation c join entry e on e.conversation = c.key and e.seq = 1
     join welcome_body w on w.conversation = c.key and w.seq = 1 join group_info g on g.conversation = c.key where c.id = $1`,
    [id],
  );
  for (const [what, bytes] of Object.entries(rows[0] ?? expect.unreachable())) times.push(`${what}: ${bytes} bytes`);
}

/** One client commits what waits, until nobody is leaving. */
async function removeAll([one]: readonly MlsGroup[]): Promise<void> {
  await one?.receive();
  await one?.commitPending();
}
