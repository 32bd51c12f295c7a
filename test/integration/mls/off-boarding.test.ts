import { createPrivateKey, createPublicKey, verify } from 'node:crypto';
import type { Extension } from 'ts-mls';
import { beforeAll, describe, expect, test } from 'vitest';
import { makeExternalSenders } from '../../../api/services/external-senders.ts';
import { parseFrame } from '../../../mls/frame.ts';
import type { PublicProposalFrame } from '../../../mls/frame/message.ts';
import { vector } from '../../../mls/vector.ts';
import { externalSender, makeSenderKey } from '../../../mls/external-sender.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { findInconsistencies } from '../../../tools/harness/invariants.ts';
import type { Answer } from '../../../tools/harness/answer.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { SENDER_SECRET, type OffBoardingWork, offBoardingWork } from '../../harness/off-boarding.ts';
import { base64 } from '../../harness/api/conversations.ts';
import { privateMessage } from '../../harness/api/frames.ts';
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
} from '../../harness/mls/group.ts';
import { forgottenOffBoardings } from '../../../store/off-boarding/off-boardings.ts';

const { database, service } = useApi(() => ({ externalSenderKey: SENDER_SECRET }));
const OPERATOR = { user: 'operator' };
const NO_WAIT = { removalDeadlineHours: 0 };
let work: OffBoardingWork;
let sender: Buffer;

beforeAll(async () => {
  work = offBoardingWork(database().pool);
  const answer = await service.ask('GET /v1/external-sender?cipherSuite=1', { user: 'alice' });
  sender = Buffer.from(String(answer.body.externalSender), 'base64');
});

/** Asks with a token of one device. */
async function askFrom(user: string, device: string, what: string, body?: unknown): Promise<Answer> {
  const headers = { authorization: `Bearer ${await tokenOf(user, { device })}` };
  return service.ask(what, { headers, ...(body === undefined ? {} : { body }) });
}

/** The extension `external_senders` in the form of the RFC: a vector. */
function listing(...senders: readonly Uint8Array[]): Extension[] {
  return [{ extensionType: 'external_senders', extensionData: new Uint8Array(vector(Buffer.concat(senders))) }];
}

function offBoard(user: string, device?: string): Promise<Answer> {
  const body = { reason: 'account-closed', ...(device === undefined ? {} : { device }) };
  return service.ask(`POST /v1/admin/users/${user}/off-boarding`, { ...OPERATOR, body });
}

async function idOf(user: string, device = ''): Promise<number> {
  const { rows } = await database().pool.query<{ id: string }>(
    'select max(id) as id from off_boarding where user_id = $1 and device_id = $2',
    [user, device],
  );
  return Number(rows[0]?.id);
}

async function workOff(user: string, device = ''): Promise<unknown> {
  return work.step(await idOf(user, device));
}

function send(group: Group, user: string, epoch: number): Promise<Answer> {
  const body = { id: crypto.randomUUID(), ciphertext: base64(privateMessage(group.id, epoch)) };
  return service.ask(`POST /v1/conversations/${group.id}/messages`, { user, body });
}

/** Proposals of the service in a log, as any member reads them. */
async function proposalsIn(
  group: Group,
  reader: string,
): Promise<{ seq: number; epoch: number; frame: PublicProposalFrame }[]> {
  const { body } = await service.ask(`GET /v1/conversations/${group.id}/messages?kind=proposal`, { user: reader });
  const entries = body.entries as { seq: number; epoch: number; ciphertext: string; sender?: string }[];
  return entries.map(({ seq, epoch, ciphertext, sender: from }) => {
    expect(from).toBeUndefined();
    return { seq, epoch, frame: parseFrame(Buffer.from(ciphertext, 'base64')) as PublicProposalFrame };
  });
}

/** Checks the signature without any code of the service: Ed25519 over SignContent (RFC 9420 §5.1.2). */
function isSignedBy(publicKey: Uint8Array, { signed, signature }: PublicProposalFrame): boolean {
  const label = Buffer.from('MLS 1.0 FramedContentTBS');
  const length = Buffer.of(0x40 | (signed.length >> 8), signed.length & 0xff);
  const content = Buffer.concat([
    Buffer.of(label.length),
    label,
    signed.length < 64 ? length.subarray(1) : length,
    signed,
  ]);
  const key = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey).toString('base64url') },
    format: 'jwk',
  });
  return verify(null, content, key, signature);
}

/** A commit of `user` that everybody takes. */
async function commitAs(
  group: Group,
  user: string,
  proposals: Parameters<typeof makeBundle>[1],
  fields: object = {},
): Promise<Answer> {
  const bundle = await makeBundle(group.of(user), proposals);
  const { welcome: _welcome, ...body } = bundle.body;
  const answer = await commit(service, group.id, user, { ...body, ...fields });
  if (answer.status === 200) await deliver(group, user, bundle);
  return answer;
}

describe('a user', () => {
  test('is cut off at once, its leaf is proposed for removal in each epoch, and commits obey after the deadline', async () => {
    const group = await startGroup(service, ['alice', 'bob', 'carol'], NO_WAIT, { extensions: listing(sender) });
    expect((await send(group, 'bob', 1)).status).toBe(200);
    const before = await send(group, 'carol', 1);
    expect(before.status).toBe(200);

    const begun = await offBoard('bob');
    expect([begun.status, begun.body]).toMatchObject([
      202,
      { user: 'bob', state: 'working', total: 1, startedBy: 'operator' },
    ]);
    expect((await offBoard('bob')).body.startedAt).toBe(begun.body.startedAt);
    // Nothing has reached the conversation yet.
    expect(verdict(await send(group, 'bob', 1))).toEqual([403, 'removed']);
    expect(verdict(await service.ask('GET /v1/conversations', { user: 'bob' }))).toEqual([403, 'removed']);

    expect(await workOff('bob')).toMatchObject({ isDone: false, total: 1, done: 0, waiting: 1, blocked: 0 });
    expect(work.failures).toEqual([]);
    const { body: members } = await service.ask(`GET /v1/conversations/${group.id}/members`, { user: 'alice' });
    expect(members).toMatchObject({ leaving: ['bob'] });

    expect(await work.propose()).toMatchObject([{ user: 'bob', device: '' }]);
    expect(await work.propose()).toEqual([]);
    const [first, ...others] = await proposalsIn(group, 'alice');
    expect(others).toEqual([]);
    expect(first?.frame).toMatchObject({
      wireFormat: 'public_message',
      epoch: 1,
      sender: { type: 'external', senderIndex: 0 },
      proposal: { type: 'remove', removed: leafIndexes(group.of('alice'), 'bob')[0] },
    });
    const publicKey = sender.subarray(1, 33);
    expect(first !== undefined && isSignedBy(publicKey, first.frame)).toBe(true);

    // Other commits wait. Their lock-step with the proposals holds in each epoch.
    const refused = await commitAs(group, 'alice', []);
    expect([refused.status, refused.body]).toMatchObject([
      409,
      { code: 'removal-pending', proposals: [first?.seq], users: ['bob'] },
    ]);
    // An external commit is exempt, and the proposals follow.
    const joining = await makeExternal(await groupInfoOf(group.of('alice')), await newKeys('carol'));
    expect((await commit(service, group.id, 'carol', joining.body)).status).toBe(200);
    await deliver(group, 'carol, a further device', joining);
    expect((await commitAs(group, 'alice', [])).body).toMatchObject({ code: 'removal-pending', proposals: [] });
    expect(await work.propose()).toHaveLength(1);
    const again = await proposalsIn(group, 'alice');
    expect(again.map(({ epoch, frame }) => [epoch, frame.epoch])).toEqual([
      [1, 1],
      [2, 2],
    ]);

    const obeyed = await commitAs(group, 'alice', removalOf(group.of('alice'), 'bob'), { removes: ['bob'] });
    expect(verdict(obeyed)).toEqual([200, undefined]);
    expect(await workOff('bob')).toMatchObject({ isDone: true, done: 1, waiting: 0 });
    const status = await service.ask('GET /v1/admin/users/bob/off-boarding', OPERATOR);
    expect(status.body).toMatchObject({ state: 'done', total: 1, done: 1, waiting: 0 });
    expect((await commitAs(group, 'alice', [])).status).toBe(200);
    expect(await work.propose()).toEqual([]);

    // Nobody brings it back while the off-boarding stands.
    const keys = await newKeys('bob');
    expect(verdict(await commitAs(group, 'alice', [add(keys)], { adds: ['bob'] }))).toEqual([403, 'not-allowed']);
    const undone = await service.ask('DELETE /v1/admin/users/bob/off-boarding', OPERATOR);
    expect([undone.status, undone.body.state]).toEqual([202, 'undoing']);
    expect(await workOff('bob')).toMatchObject({ isDone: true, isUndone: true });
    // It is no member any more: a commit removed it.
    expect(verdict(await send(group, 'bob', 4))).toEqual([403, 'removed']);
    expect((await service.ask('GET /v1/conversations', { user: 'bob' })).status).toBe(200);
    // An add is allowed again; this one lacks its Welcome.
    expect(verdict(await commitAs(group, 'alice', [add(keys)], { adds: ['bob'] }))).toEqual([422, 'welcome-mismatch']);
  });

  test('is a member again when an operator undoes it before a commit', async () => {
    const group = await startGroup(service, ['dora', 'erik'], NO_WAIT, { extensions: listing(sender) });
    await offBoard('dora');
    await workOff('dora');
    await work.propose();
    const { body: without } = await service.ask(`GET /v1/conversations/${group.id}`, { user: 'erik' });
    expect(without).toMatchObject({ memberCount: 1, role: 'admin' });
    expect((await send(group, 'erik', 1)).status).toBe(200);
    await service.ask('DELETE /v1/admin/users/dora/off-boarding', OPERATOR);
    await workOff('dora');
    const { body } = await service.ask(`GET /v1/conversations/${group.id}`, { user: 'dora' });
    expect(body).toMatchObject({ memberCount: 2, role: 'admin', unread: 1, periods: [{ from: 1 }] });
    expect((await send(group, 'dora', 1)).status).toBe(200);
    expect((await commitAs(group, 'erik', [])).status).toBe(200);
    expect(await findInconsistencies(database().pool)).toEqual([]);
  });

  test('that an outsider could be as well does not come back by an external commit', async () => {
    const group = await startGroup(service, ['fred', 'gina'], { ...NO_WAIT, externalJoin: 'anyone' });
    const joining = await makeExternal(await groupInfoOf(group.of('fred')), await newKeys('gina'));
    await offBoard('gina');
    expect(verdict(await commit(service, group.id, 'gina', joining.body))).toEqual([403, 'removed']);
    await workOff('gina');
    expect(verdict(await commit(service, group.id, 'gina', joining.body))).toEqual([403, 'removed']);
    const creation = { id: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAA', members: ['gina'] };
    expect(verdict(await service.ask('POST /v1/conversations', { user: 'fred', body: creation }))).toEqual([
      403,
      'not-allowed',
    ]);
  });
});

describe('a group', () => {
  test.each([
    ['lists nobody', (): Extension[] => []],
    ['lists a stranger', (): Extension[] => listing(externalSender(makeSenderKey('Ed25519').publicKey))],
    [
      'lists the service in another form than the RFC',
      (): Extension[] => [{ extensionType: 'external_senders', extensionData: sender }],
    ],
  ])('that %s is told by an event, once', async (name, extensions) => {
    const user = `hugo ${name.length}`;
    const group = await startGroup(service, ['ivan', user], {}, { extensions: extensions() });
    await offBoard(encodeURIComponent(user));
    await workOff(user);
    await work.propose();
    expect((await commitAs(group, 'ivan', [])).status).toBe(200);
    await work.propose();
    expect(await proposalsIn(group, 'ivan')).toEqual([]);
    const { rows } = await database().pool.query(
      `select data from change where kind = 'removal-wanted' and conversation = (select key from conversation where id = $1)`,
      [group.id],
    );
    expect(rows).toEqual([{ data: { user } }]);
  });

  test('that lists an older key gets its proposals by that key, at its place in the list', async () => {
    const stranger = externalSender(makeSenderKey('Ed25519').publicKey);
    const group = await startGroup(service, ['jane', 'karl'], {}, { extensions: listing(stranger, sender) });
    await service.ask('POST /v1/admin/external-sender/rotation', { ...OPERATOR, body: {} });
    const { body } = await service.ask('GET /v1/external-sender?cipherSuite=1', { user: 'jane' });
    expect(body.externalSender).not.toBe(sender.toString('base64'));
    await offBoard('karl');
    await workOff('karl');
    // Another secret opens nothing.
    await work.propose('another secret, which has as many characters');
    expect(await proposalsIn(group, 'jane')).toEqual([]);
    expect(work.failures.splice(0)).toMatchObject([{ name: 'UnsealError' }]);
    await commitAs(group, 'jane', []);
    await work.propose();
    const [proposal] = await proposalsIn(group, 'jane');
    expect(proposal?.frame.sender).toEqual({ type: 'external', senderIndex: 1 });
    expect(proposal !== undefined && isSignedBy(sender.subarray(1, 33), proposal.frame)).toBe(true);
  });
});

describe('a device', () => {
  test('loses its leaf, and its user stays', async () => {
    const group = await startGroup(
      service,
      ['lara', 'mike'],
      { ...NO_WAIT, whoMayRemove: 'nobody' },
      { extensions: listing(sender) },
    );
    const laptop = await makeExternal(await groupInfoOf(group.of('lara')), await newKeys('mike'));
    const route = `POST /v1/conversations/${group.id}/commits`;
    expect((await askFrom('mike', 'laptop', route, laptop.body)).status).toBe(200);
    await deliver(group, 'mike, laptop', laptop);
    const [, leaf] = leafIndexes(group.of('lara'), 'mike');

    const forgotten = await service.ask('DELETE /v1/devices/laptop', { user: 'mike' });
    expect(forgotten.status).toBe(204);
    expect(await workOff('mike', 'laptop')).toMatchObject({ isDone: false, waiting: 1 });
    expect(verdict(await askFrom('mike', 'laptop', 'GET /v1/conversations'))).toEqual([403, 'removed']);
    expect((await send(group, 'mike', 2)).status).toBe(200);
    await work.propose();
    const [proposal] = await proposalsIn(group, 'lara');
    expect(proposal?.frame.proposal).toEqual({ type: 'remove', removed: leaf });

    expect((await commitAs(group, 'lara', [])).body).toMatchObject({
      code: 'removal-pending',
      proposals: [proposal?.seq],
    });
    expect(
      verdict(await commitAs(group, 'lara', [{ proposalType: 'remove', remove: { removed: leaf ?? 0 } }])),
    ).toEqual([200, undefined]);
    expect(await workOff('mike', 'laptop')).toMatchObject({ isDone: true, done: 1, waiting: 0 });
    expect((await send(group, 'mike', 3)).status).toBe(200);
  });

  test('whose leaf is the last one leaves its user as a member who can join again', async () => {
    const group = await startGroup(service, ['nina', 'otto'], NO_WAIT, { extensions: listing(sender) });
    const phone = await makeExternal(await groupInfoOf(group.of('nina')), await newKeys('otto'), 'otto');
    const route = `POST /v1/conversations/${group.id}/commits`;
    expect((await askFrom('otto', 'phone', route, phone.body)).status).toBe(200);
    await deliver(group, 'otto', phone);
    await offBoard('otto', 'phone');
    await workOff('otto', 'phone');
    await work.propose();
    expect(await proposalsIn(group, 'nina')).toHaveLength(1);
    const removal = removalOf(group.of('nina'), 'otto');
    expect(verdict(await commitAs(group, 'nina', removal))).toEqual([200, undefined]);
    expect(await workOff('otto', 'phone')).toMatchObject({ isDone: true });
    const { body } = await askFrom('otto', 'tablet', `GET /v1/conversations/${group.id}`);
    expect(body).toMatchObject({ memberCount: 2, role: 'member' });
    const back = await makeExternal(await groupInfoOf(group.of('nina')), await newKeys('otto'));
    expect((await askFrom('otto', 'tablet', route, back.body)).status).toBe(200);
  });
});

describe('the removal of a device', () => {
  test('is no pretext to take out the other leaves of its user', async () => {
    const group = await startGroup(
      service,
      ['rosa', 'sven', 'mallory'],
      { whoMayRemove: 'nobody' },
      { extensions: listing(sender) },
    );
    const laptop = await makeExternal(await groupInfoOf(group.of('rosa')), await newKeys('sven'));
    const route = `POST /v1/conversations/${group.id}/commits`;
    expect((await askFrom('sven', 'laptop', route, laptop.body)).status).toBe(200);
    await deliver(group, 'sven, laptop', laptop);
    await service.ask('DELETE /v1/devices/laptop', { user: 'sven' });
    await workOff('sven', 'laptop');
    const all = removalOf(group.of('mallory'), 'sven');
    expect(all).toHaveLength(2);
    for (const isPublic of [true, false]) {
      const { body } = await makeBundle(group.of('mallory'), all, { isPublic });
      expect([isPublic, (await commit(service, group.id, 'mallory', body)).status]).not.toEqual([isPublic, 200]);
    }
  });

  test('holds up no group whose trees the service does not see: nobody could show that it obeys', async () => {
    const policy = { ...NO_WAIT, groupInfo: 'optional', externalJoin: 'nobody' };
    const group = await startGroup(service, ['tina', 'udo'], policy, { tree: false });
    const keys = await newKeys('udo');
    const keyPackage = wire({ wireformat: 'mls_key_package', keyPackage: keys.publicPackage });
    expect((await askFrom('udo', 'laptop', 'POST /v1/key-packages', { keyPackages: [keyPackage] })).status).toBe(200);
    await service.ask('POST /v1/users/udo/key-packages/claim', { user: 'tina', body: {} });
    const adding = await makeBundle(group.of('tina'), [add(keys)], { tree: false });
    const added = await commit(service, group.id, 'tina', { ...adding.body, adds: ['udo'] });
    expect(verdict(added)).toEqual([200, undefined]);
    await deliver(group, 'tina', adding);
    await service.ask('DELETE /v1/devices/laptop', { user: 'udo' });
    await workOff('udo', 'laptop');
    expect(await work.propose()).toContainEqual({ conversation: group.id, user: 'udo', device: 'laptop' });
    const { body } = await makeBundle(group.of('tina'), [], { tree: false });
    expect(verdict(await commit(service, group.id, 'tina', body))).toEqual([200, undefined]);
  });
});

test('an off-boarding also reaches a conversation that its user joined in the same moment', async () => {
  const group = await startGroup(service, ['vera'], { groupInfo: 'optional' });
  const { pool } = database();
  const client = await pool.connect();
  try {
    // A decision that had looked for off-boardings before this one began, and commits after the work was done.
    await client.query('begin');
    await client.query(
      `insert into member (conversation, user_id, role, joined_seq, joined_epoch, read_seq, read_count, increments_base)
       select key, 'walt', 'member', last_seq + 1, epoch, last_seq, app_count, increments from conversation where id = $1`,
      [group.id],
    );
    await client.query(
      `insert into period (conversation, user_id, from_seq) select key, 'walt', 1 from conversation where id = $1`,
      [group.id],
    );
    await client.query('update conversation set member_count = member_count + 1 where id = $1', [group.id]);
    await offBoard('walt');
    expect(await workOff('walt')).toMatchObject({ isDone: true, total: 0 });
    await client.query('commit');
  } finally {
    client.release();
  }
  const id = await idOf('walt');
  await pool.query(
    `update off_boarding set started_at = started_at - interval '1 hour', changed_at = changed_at - interval '1 hour',
       done_at = done_at - interval '1 hour', seen_at = seen_at - interval '1 hour' where id = $1`,
    [id],
  );
  expect(await forgottenOffBoardings(pool, 100)).toContain(id);
  expect(await workOff('walt')).toMatchObject({ isDone: false, waiting: 1 });
});

test('who erases itself is proposed for removal too', async () => {
  const group = await startGroup(service, ['paul', 'quin'], NO_WAIT, { extensions: listing(sender) });
  expect((await service.ask('DELETE /v1/me', { user: 'quin' })).status).toBe(204);
  await work.propose();
  expect(await proposalsIn(group, 'paul')).toHaveLength(1);
  expect((await commitAs(group, 'paul', [])).body.code).toBe('removal-pending');
  expect((await commitAs(group, 'paul', removalOf(group.of('paul'), 'quin'), { removes: ['quin'] })).status).toBe(200);
});

describe('the external sender', () => {
  test('is the same for all processes, and unknown for a cipher suite without signature keys', async () => {
    const answers = await Promise.all(
      [2, 2, 3].map((suite) => service.ask(`GET /v1/external-sender?cipherSuite=${suite}`, { user: 'alice' })),
    );
    expect(new Set(answers.slice(0, 2).map(({ text }) => text)).size).toBe(1);
    expect(verdict(await service.ask('GET /v1/external-sender?cipherSuite=4711', { user: 'alice' }))).toEqual([
      404,
      'not-found',
    ]);
    // The dump of a database opens nothing.
    const { rows } = await database().pool.query<{ sealed: Buffer }>('select sealed from external_sender_key');
    for (const { sealed } of rows)
      expect(() => createPrivateKey({ key: sealed, format: 'der', type: 'pkcs8' })).toThrow();
  });

  test('does not exist without EXTERNAL_SENDER_KEY, and says so if that is another one', async () => {
    const { pool } = database();
    await expect(makeExternalSenders(pool, undefined)(1)).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('EXTERNAL_SENDER_KEY') as string,
    });
    await expect(makeExternalSenders(pool, 'another secret, which has as many characters')(1)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('rotate') as string,
    });
  });
});
