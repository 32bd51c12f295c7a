import { expect, test } from 'vitest';
import type { Outcome } from '../../../domain/outcome.ts';
import { viewConversation } from '../../../store/conversation/conversations.ts';
import { decide } from '../../../store/decision/decide.ts';
import { readPage } from '../../../store/log/entries.ts';
import { epochOf } from '../../harness/outcomes.ts';
import { useDatabase } from '../../harness/database.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { type Request, inline, send, sendOne, sendStaged, sha256, startConversation } from '../../harness/requests.ts';

const database = useDatabase();
let count = 0;

const start = (options?: Parameters<typeof startConversation>[1]): Promise<string> =>
  startConversation(database().pool, options);
const ask = (conversation: string, request: Request): Promise<Outcome> =>
  sendOne(database().pool, conversation, request);

function message(
  actor: string,
  epoch: number,
  id = `m${count++}`,
  body = `text ${id}`,
): Extract<Request, { kind: 'message' }> {
  return { kind: 'message', id, actor, epoch, body };
}

function commit(
  actor: string,
  epoch: number | undefined,
  change: Partial<Extract<Request, { kind: 'commit' }>> = {},
): Extract<Request, { kind: 'commit' }> {
  const id = `c${count++}`;
  return { kind: 'commit', id, actor, epoch, body: `commit ${id}`, ...change };
}

async function unread(conversation: string, user: string): Promise<number | undefined> {
  return (await viewConversation(database().pool, conversation, user))?.unread;
}

test('invariant 3: a message and a commit are answered as at first, also after the sender left and epochs later', async () => {
  const conversation = await start();
  const text = message('bob', 0);
  const change = commit('bob', 0, { adds: ['dave'] });
  const first = [await ask(conversation, text), await ask(conversation, change)];
  await ask(conversation, commit('alice', 1, { removes: ['bob'] }));
  for (const epoch of [2, 3]) await ask(conversation, commit('alice', epoch));
  const again = [await ask(conversation, text), await ask(conversation, change)];
  expect(again).toEqual(first.map((outcome) => ({ ...outcome, status: 'duplicate' })));
  // Deadlines do not count for what is decided already.
  expect(await ask(conversation, { ...text, notAfter: 1 })).toMatchObject({ status: 'duplicate' });
  await checkInvariants(database().pool, conversation);
});

test('invariant 3: the same id with other bytes is refused and stores nothing', async () => {
  for (const protocol of ['mls', 'opaque'] as const) {
    const conversation = await start({ protocol });
    await ask(conversation, message('bob', 0, 'm', 'bytes'));
    await ask(conversation, commit('bob', 0, { id: 'c', adds: ['dave'] }));
    const reused: Request[] = [
      message('bob', 0, 'm', 'other bytes'),
      { ...message('bob', 1, 'm', 'bytes'), type: 'proposal' },
      message('alice', 1, 'c', 'bytes'),
      commit('bob', 1, { id: 'c' }),
      commit('bob', 0, { id: 'm', adds: ['dave'] }),
    ];
    if (protocol === 'opaque') reused.push(message('alice', 1, 'm', 'bytes'));
    for (const request of reused) {
      expect(await ask(conversation, request)).toEqual({ status: 'refused', code: 'id-reused' });
    }
    const { facts } = await send(database().pool, conversation, []);
    expect(facts).toMatchObject({ lastSeq: 2, epoch: 1 });
    await checkInvariants(database().pool, conversation);
  }
});

test('a refusal is remembered nowhere: the same id may succeed later', async () => {
  const conversation = await start();
  const ahead = message('bob', 1);
  expect(await ask(conversation, ahead)).toMatchObject({ code: 'epoch-ahead', currentEpoch: 0, submittedEpoch: 1 });
  await ask(conversation, commit('alice', 0));
  expect(await ask(conversation, ahead)).toMatchObject({ status: 'accepted', seq: 2 });
});

test('strangers hear nothing, former members what they lost, and both before anything else is judged', async () => {
  const conversation = await start();
  await ask(conversation, commit('alice', 0, { removes: ['bob'] }));
  const everything = (actor: string): Request[] => [
    message(actor, 99),
    { ...message(actor, 0), type: 'proposal', notAfter: 1 },
    commit(actor, 99),
    { kind: 'leave', id: `l${actor}`, actor },
    { kind: 'read', id: `r${actor}`, actor },
    { kind: 'increment', id: `i${actor}`, actor, by: 1 },
    { kind: 'role', id: `o${actor}`, actor, user: 'alice', role: 'member' },
    { kind: 'policy', id: `p${actor}`, actor, policy: { epochWindow: 0 } },
    { kind: 'delete', id: `d${actor}`, actor },
  ];
  for (const request of everything('mallory')) {
    expect(await ask(conversation, request), request.kind).toEqual({ status: 'refused', code: 'not-found' });
  }
  for (const request of everything('bob')) {
    expect(await ask(conversation, request), request.kind).toEqual({ status: 'refused', code: 'removed', seq: 1 });
  }
  for (const request of everything('alice')) {
    expect(await ask('no-such-conversation', request)).toEqual({ status: 'refused', code: 'not-found' });
  }
  await checkInvariants(database().pool, conversation);
});

test('invariant 11: what is past its deadline is refused, whatever it is', async () => {
  const conversation = await start();
  const notAfter = Date.now() - 60_000;
  const late: Request[] = [
    { ...message('alice', 0), notAfter },
    { ...message('alice', 0), type: 'proposal', notAfter },
    commit('alice', 0, { notAfter }),
    { kind: 'leave', id: 'l', actor: 'bob', notAfter },
    { kind: 'leave', id: 'l', actor: 'bob', body: 'proposal', epoch: 0, notAfter },
    { kind: 'read', id: 'r', actor: 'alice', notAfter },
    { kind: 'delete', id: 'd', actor: 'alice', notAfter },
  ];
  for (const request of [...late, ...Array.from({ length: 10 }, () => ({ ...message('bob', 0), notAfter }))]) {
    expect(await ask(conversation, request)).toEqual({ status: 'refused', code: 'deadline' });
  }
  const { outcomes } = await send(
    database().pool,
    conversation,
    Array.from({ length: 10 }, () => ({ ...message('bob', 0), notAfter })),
  );
  expect(new Set(outcomes.map((outcome) => outcome.status === 'refused' && outcome.code))).toEqual(
    new Set(['deadline']),
  );
});

test.each([0, 2, 4])('invariant 4: with a window of %d, just that many old epochs are open', async (epochWindow) => {
  const conversation = await start({ policy: { epochWindow } });
  for (let epoch = 0; epoch < 6; epoch++) await ask(conversation, commit('alice', epoch));
  for (let epoch = 0; epoch <= 7; epoch++) {
    const one = await ask(conversation, message('bob', epoch));
    const { outcomes } = await send(
      database().pool,
      conversation,
      Array.from({ length: 8 }, () => message('bob', epoch)),
    );
    const expected =
      epoch > 6
        ? { status: 'refused', code: 'epoch-ahead', currentEpoch: 6, submittedEpoch: epoch }
        : epoch < 6 - epochWindow
          ? { status: 'refused', code: 'epoch-too-old', currentEpoch: 6, submittedEpoch: epoch }
          : { status: 'accepted', epoch };
    for (const outcome of [one, ...outcomes]) expect(outcome).toMatchObject(expected);
  }
  await checkInvariants(database().pool, conversation);
});

test('invariant 2: of ten commits for an epoch one wins, and every loser hears which, and where to read on', async () => {
  const conversation = await start();
  await ask(conversation, message('bob', 0));
  await ask(conversation, commit('alice', 0));
  await ask(conversation, message('bob', 1));
  const rivals = Array.from({ length: 10 }, (_, i) => commit(i % 2 === 0 ? 'alice' : 'bob', 1));
  const outcomes = await Promise.all(rivals.map((rival) => ask(conversation, rival)));
  const won = outcomes.findIndex(({ status }) => status === 'accepted');
  expect(outcomes.filter(({ status }) => status === 'accepted')).toHaveLength(1);
  const winner = { seq: 4, sha256: sha256(rivals[won]?.body ?? '').toString('hex') };
  for (const outcome of outcomes.filter(({ status }) => status === 'refused')) {
    expect(outcome).toEqual({
      status: 'refused',
      code: 'epoch-conflict',
      currentEpoch: 2,
      submittedEpoch: 1,
      winner,
      after: 2,
    });
  }
  expect(await ask(conversation, commit('alice', 5))).toMatchObject({ code: 'epoch-ahead', currentEpoch: 2 });
  await checkInvariants(database().pool, conversation);
});

test('invariant 2: opaque commits that state no epoch are put in a row', async () => {
  const conversation = await start({ protocol: 'opaque' });
  const adds = Array.from({ length: 10 }, (_, i) =>
    commit('alice', undefined, { body: i % 2 === 0 ? undefined : `commit ${i}`, adds: [`user-${i}`] }),
  );
  const outcomes = await Promise.all(adds.map((add) => ask(conversation, add)));
  const epochs = outcomes.map((outcome) => (outcome.status === 'accepted' ? epochOf(outcome) : undefined));
  expect(epochs.sort((a, b) => Number(a) - Number(b))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  await checkInvariants(database().pool, conversation);
});

test('a commit is the same by its bytes as well as by its id, but not with another membership change', async () => {
  const conversation = await start();
  const first = await ask(conversation, commit('bob', 0, { id: 'one', body: 'bytes', adds: ['dave'] }));
  await ask(conversation, commit('alice', 1));
  const again = { ...first, status: 'duplicate' };
  expect(await ask(conversation, commit('bob', 0, { id: 'one', body: 'bytes', adds: ['dave'] }))).toEqual(again);
  expect(await ask(conversation, commit('bob', 0, { id: 'two', body: 'bytes', adds: ['dave', 'dave'] }))).toEqual(
    again,
  );
  expect(await ask(conversation, commit('bob', 0, { id: 'one', body: 'bytes' }))).toMatchObject({ code: 'id-reused' });
  const changed = await ask(conversation, commit('bob', 0, { id: 'three', body: 'bytes', adds: ['erin'] }));
  expect(changed).toMatchObject({ code: 'epoch-conflict', winner: { seq: 1 } });
  const another = await ask(conversation, commit('alice', 0, { id: 'four', body: 'bytes', adds: ['dave'] }));
  expect(another).toMatchObject({ code: 'epoch-conflict', winner: { seq: 1 } });
  // Not looked at again: Welcome and GroupInfo.
  expect(await ask(conversation, commit('bob', 0, { id: 'one', body: 'bytes', adds: ['dave'], welcome: 'w' }))).toEqual(
    again,
  );
  expect(await welcomes(conversation)).toEqual([]);
});

test('invariant 6: a commit brings membership, Welcomes and GroupInfo, or nothing of them', async () => {
  // In `mls` a Welcome names key packages: test/integration/store/bundle.test.ts.
  const conversation = await start({ protocol: 'opaque' });
  const bundle = { adds: ['dave', 'erin'], removes: ['carol'], welcome: 'welcome', groupInfo: 'group info' };
  const winner = await ask(conversation, commit('alice', 0, bundle));
  expect(winner).toMatchObject({ status: 'accepted', seq: 1, epoch: 1 });
  const stored = await welcomes(conversation);
  expect(stored).toEqual(['dave', 'erin'].map((user) => ({ user, seq: 1, epoch: 1, welcome: 'welcome' })));
  for (const loser of [
    commit('bob', 0, { ...bundle, adds: ['frank', 'dave'], welcome: 'lost', groupInfo: 'lost' }),
    commit('bob', 1, { ...bundle, welcome: 'lost', removes: ['nobody'] }),
    commit('bob', 1, { adds: Array.from({ length: 1001 }, (_, i) => `u${i}`), welcome: 'lost' }),
  ]) {
    expect(await ask(conversation, loser)).toMatchObject({ status: 'refused' });
  }
  expect(await welcomes(conversation)).toEqual(stored);
  expect(await groupInfo(conversation)).toEqual([{ epoch: 1, groupInfo: 'group info' }]);
  expect(await viewConversation(database().pool, conversation, 'frank')).toBeUndefined();
  await checkInvariants(database().pool, conversation);

  // A later Welcome for the same user replaces the earlier; removal withdraws it.
  await ask(conversation, commit('alice', 1, { adds: ['dave'], welcome: 'for the phone' }));
  await ask(conversation, commit('alice', 2, { removes: ['erin'] }));
  expect(await welcomes(conversation)).toEqual([{ user: 'dave', seq: 2, epoch: 2, welcome: 'for the phone' }]);
  await checkInvariants(database().pool, conversation);
});

test('the policy says who may add, remove and propose', async () => {
  const policy = { whoMayAdd: 'admin', whoMayRemove: 'nobody', whoMayPropose: 'admin' } as const;
  const conversation = await start({ policy });
  const refused = { status: 'refused', code: 'not-allowed' };
  expect(await ask(conversation, commit('bob', 0, { adds: ['dave'] }))).toEqual(refused);
  expect(await ask(conversation, commit('alice', 0, { removes: ['bob'] }))).toEqual(refused);
  expect(await ask(conversation, { ...message('bob', 0), type: 'proposal' })).toEqual(refused);
  // A leaf with the name of a member that never acted may be anybody's.
  expect(await ask(conversation, commit('bob', 0, { adds: ['carol'] }))).toMatchObject(refused);
  await ask(conversation, message('carol', 0));
  // None adds anybody: a commit without adds, one for a further device of a proven member, and one for the sender's own.
  expect(await ask(conversation, commit('bob', 0))).toMatchObject({ status: 'accepted' });
  expect(await ask(conversation, commit('bob', 1, { adds: ['carol', 'bob'] }))).toMatchObject({ status: 'accepted' });
  expect(await ask(conversation, commit('alice', 2, { adds: ['dave'] }))).toMatchObject({ status: 'accepted' });
  // The policy is judged before the epoch.
  expect(await ask(conversation, commit('bob', 99, { adds: ['erin'] }))).toEqual(refused);
});

test('the last epoch that JSON can carry is not ended', async () => {
  const epoch = Number.MAX_SAFE_INTEGER;
  const conversation = await start({ epoch });
  expect(await ask(conversation, commit('alice', epoch))).toEqual({
    status: 'refused',
    code: 'epoch-ahead',
    currentEpoch: epoch,
    submittedEpoch: epoch,
  });
});

test('a conversation does not grow over its limit, and may shrink towards a lower one', async () => {
  const conversation = await start({ policy: { maxMembers: 4 } });
  const tooMany = { status: 'refused', code: 'too-many-members' };
  expect(await ask(conversation, commit('alice', 0, { adds: ['dave', 'erin'] }))).toEqual(tooMany);
  expect(await ask(conversation, commit('alice', 0, { adds: ['dave', 'erin'], removes: ['bob'] }))).toMatchObject({
    epoch: 1,
  });
  await ask(conversation, { kind: 'policy', id: 'smaller', actor: 'alice', policy: { maxMembers: 2 } });
  expect(await ask(conversation, commit('alice', 1, { adds: ['frank'] }))).toEqual(tooMany);
  expect(await ask(conversation, commit('alice', 1, { adds: ['frank'], removes: ['dave'] }))).toMatchObject({
    epoch: 2,
  });
  expect(await ask(conversation, commit('alice', 2, { removes: ['erin'] }))).toMatchObject({ epoch: 3 });
  await checkInvariants(database().pool, conversation);
});

test('three proposals per user and epoch, of the current epoch only', async () => {
  const conversation = await start();
  const propose = (actor: string, epoch: number): Promise<Outcome> =>
    ask(conversation, { ...message(actor, epoch), type: 'proposal' });
  for (let i = 0; i < 3; i++) expect(await propose('bob', 0)).toMatchObject({ status: 'accepted' });
  // Without a time after which to try again: only the next commit helps.
  const detail = 'At most 3 proposals of a user in an epoch: the next commit makes room';
  expect(await propose('bob', 0)).toEqual({ status: 'refused', code: 'rate-limited', detail });
  expect(await propose('carol', 0)).toMatchObject({ status: 'accepted', seq: 4 });
  await ask(conversation, commit('alice', 0));
  expect(await propose('bob', 0)).toMatchObject({ code: 'proposal-stale', currentEpoch: 1, submittedEpoch: 0 });
  expect(await propose('bob', 1)).toMatchObject({ status: 'accepted' });
  expect(await propose('bob', 2)).toMatchObject({ code: 'epoch-ahead' });
});

test('in mls a membership change needs a commit; opaque ones write an entry without bytes', async () => {
  const mls = await start();
  const bare = { body: undefined, adds: ['dave'] };
  expect(await ask(mls, commit('alice', 0, bare))).toEqual({ status: 'refused', code: 'commit-required' });
  const opaque = await start({ protocol: 'opaque' });
  expect(await ask(opaque, commit('alice', undefined, bare))).toMatchObject({ status: 'accepted', seq: 1, epoch: 1 });
  const page = await readPage(database().pool, opaque, 'dave', 0, 10);
  expect(page?.entries).toMatchObject([
    { seq: 1, kind: 'commit', epoch: 0, ciphertext: Buffer.alloc(0), sender: 'alice' },
  ]);

  // Members who are members already: nothing to do, and the answer stays the same.
  const known = commit('alice', undefined, { body: undefined, adds: ['bob'] });
  expect(await ask(opaque, known)).toEqual({ status: 'accepted', seq: 1, epoch: 1 });
  await ask(opaque, commit('alice', undefined, { body: undefined, removes: ['bob'] }));
  expect(await ask(opaque, known)).toEqual({ status: 'duplicate', seq: 1, epoch: 1 });
  expect(await ask(opaque, { ...known, adds: ['erin'] })).toEqual({ status: 'refused', code: 'id-reused' });
  expect(await ask(opaque, commit('alice', undefined, { body: undefined, removes: ['bob'] }))).toMatchObject({
    code: 'not-found',
  });
  await checkInvariants(database().pool, opaque);
});

test('leaving ends reading at the own proposal and sending at once; a commit finishes it', async () => {
  const conversation = await start();
  const leave: Request = { kind: 'leave', id: 'l', actor: 'bob', body: 'remove me', epoch: 0 };
  expect(await ask(conversation, leave)).toEqual({ status: 'accepted', seq: 1, epoch: 0 });
  expect(await ask(conversation, message('bob', 0))).toEqual({ status: 'refused', code: 'removed', seq: 1 });
  await ask(conversation, message('carol', 0));
  expect(await viewConversation(database().pool, conversation, 'bob')).toMatchObject({
    lastSeq: 1,
    epoch: 0,
    role: 'removed',
  });
  await checkInvariants(database().pool, conversation);

  // Anybody may finish it, whatever the policy says of removals.
  await ask(conversation, { kind: 'policy', id: 'p', actor: 'alice', policy: { whoMayRemove: 'nobody' } });
  expect(await ask(conversation, commit('carol', 0, { removes: ['bob'] }))).toMatchObject({
    status: 'accepted',
    seq: 3,
  });
  const page = await readPage(database().pool, conversation, 'bob', 0, 10);
  expect(page).toMatchObject({ lastSeq: 1, leftSeq: 1, entries: [{ seq: 1, kind: 'proposal', sender: 'bob' }] });
  expect(await ask(conversation, leave)).toEqual({ status: 'duplicate', seq: 1, epoch: 0 });
  await checkInvariants(database().pool, conversation);
});

test('a late retry of a leave does not end the stay that began since (invariant 3)', async () => {
  const conversation = await start();
  const leaves: Request[] = [
    { kind: 'leave', id: 'with', actor: 'bob', body: 'remove me', epoch: 0 },
    { kind: 'leave', id: 'without', actor: 'carol' },
  ];
  for (const leave of leaves) await ask(conversation, leave);
  await ask(conversation, commit('alice', 0, { removes: ['bob', 'carol'] }));
  await ask(conversation, commit('alice', 1, { adds: ['bob', 'carol'] }));
  for (const leave of leaves) expect(await ask(conversation, leave)).toEqual({ status: 'duplicate', seq: 1, epoch: 0 });
  const { outcomes } = await send(database().pool, conversation, [message('bob', 2), message('carol', 2)]);
  expect(outcomes.map(({ status }) => status)).toEqual(['accepted', 'accepted']);
  await checkInvariants(database().pool, conversation);
});

test('a conversation that a member left before its first entry takes the member back with that entry', async () => {
  const conversation = await start();
  expect(await ask(conversation, { kind: 'leave', id: 'l', actor: 'bob' })).toEqual({
    status: 'accepted',
    seq: 0,
    epoch: 0,
  });
  await checkInvariants(database().pool, conversation);
  expect(await ask(conversation, commit('alice', 0, { adds: ['bob'] }))).toMatchObject({ status: 'accepted', seq: 1 });
  expect(await viewConversation(database().pool, conversation, 'bob')).toMatchObject({ periods: [{ from: 1 }] });
  await checkInvariants(database().pool, conversation);
});

test('invariant 8: who is added again reads both stays and nothing between, and reads nothing after the last', async () => {
  const conversation = await start();
  const say = (actor: string, epoch: number): Promise<Outcome> => ask(conversation, message(actor, epoch));
  await say('alice', 0); // 1
  await ask(conversation, commit('alice', 0, { removes: ['bob'] })); // 2
  await say('alice', 1); // 3
  await ask(conversation, commit('alice', 1, { adds: ['bob', 'dave'] })); // 4
  await say('bob', 2); // 5
  await ask(conversation, commit('alice', 2, { removes: ['bob'] })); // 6
  await say('alice', 3); // 7
  const read = async (user: string): Promise<number[] | undefined> =>
    (await readPage(database().pool, conversation, user, 0, 100))?.entries.map(({ seq }) => seq);
  expect(await read('bob')).toEqual([1, 2, 4, 5, 6]);
  expect(await read('dave')).toEqual([4, 5, 6, 7]);
  expect(await read('alice')).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(await read('mallory')).toBeUndefined();
  await checkInvariants(database().pool, conversation);
});

test('invariant 7: unread counts application messages after the read position, and increments', async () => {
  const conversation = await start();
  for (let i = 0; i < 3; i++) await ask(conversation, message('alice', 0));
  await ask(conversation, { ...message('carol', 0), type: 'proposal' });
  await ask(conversation, commit('carol', 0, { adds: ['dave'] }));
  await ask(conversation, message('alice', 1));
  expect(await unread(conversation, 'alice')).toBe(0);
  expect(await unread(conversation, 'bob')).toBe(4);
  // A client's proposals and commits say nothing of what its user has read.
  expect(await unread(conversation, 'carol')).toBe(4);
  expect(await unread(conversation, 'dave')).toBe(1);

  const read = (actor: string, id: string, seq?: number): Promise<Outcome> =>
    ask(conversation, { kind: 'read', id, actor, ...(seq === undefined ? {} : { seq }) });
  expect(await read('bob', 'r1', 2)).toEqual({ status: 'accepted', unread: 2 });
  expect(await read('bob', 'r2', 1), 'only forward').toEqual({ status: 'accepted', unread: 2 });
  expect(await read('bob', 'r3', 999), 'above lastSeq clamps').toEqual({ status: 'accepted', unread: 0 });

  const increment: Request = { kind: 'increment', id: 'i', actor: 'alice', by: 5 };
  expect(await ask(conversation, increment)).toEqual({ status: 'accepted' });
  expect(await ask(conversation, increment), 'counts once').toEqual({ status: 'duplicate' });
  expect(await ask(conversation, { ...increment, by: 6 })).toEqual({ status: 'refused', code: 'id-reused' });
  expect(await unread(conversation, 'alice'), 'not for the sender').toBe(0);
  expect(await unread(conversation, 'bob')).toBe(5);
  expect(await unread(conversation, 'dave')).toBe(6);
  await ask(conversation, commit('alice', 1, { adds: ['erin'] }));
  expect(await unread(conversation, 'erin'), 'not for who joins later').toBe(0);
  expect(await read('dave', 'r4', 1), 'clears increments').toEqual({ status: 'accepted', unread: 1 });
  expect(await ask(conversation, message('bob', 1))).toMatchObject({ status: 'accepted' });
  expect(await unread(conversation, 'bob'), 'sending reads messages, not increments').toBe(5);
  expect(await read('bob', 'r3', 999), 'the retry hears the first answer').toEqual({ status: 'duplicate', unread: 0 });
  await checkInvariants(database().pool, conversation);
});

test('roles: admins change them, and one admin always stays', async () => {
  const conversation = await start();
  const role = (actor: string, user: string, to: 'admin' | 'member', id = `o${count++}`): Promise<Outcome> =>
    ask(conversation, { kind: 'role', id, actor, user, role: to });
  expect(await role('bob', 'bob', 'admin')).toEqual({ status: 'refused', code: 'not-allowed' });
  expect(await role('alice', 'mallory', 'admin')).toEqual({ status: 'refused', code: 'not-found' });
  expect(await role('alice', 'alice', 'member')).toEqual({ status: 'refused', code: 'not-allowed' });
  expect(await role('alice', 'bob', 'admin', 'o')).toEqual({ status: 'accepted', role: 'admin' });
  expect(await role('alice', 'alice', 'member')).toEqual({ status: 'accepted', role: 'member' });
  expect(await role('alice', 'bob', 'admin', 'o'), 'answered, though no admin any more').toMatchObject({
    status: 'duplicate',
  });
  expect(await role('alice', 'bob', 'member')).toEqual({ status: 'refused', code: 'not-allowed' });
});

test('a policy changes in parts, and a null takes a part away', async () => {
  const conversation = await start();
  const change = (actor: string, policy: object): Promise<Outcome> =>
    ask(conversation, { kind: 'policy', id: `p${count++}`, actor, policy });
  expect(await change('bob', { epochWindow: 0 })).toEqual({ status: 'refused', code: 'not-allowed' });
  expect(await change('alice', { retentionDays: 5, epochWindow: 1 })).toMatchObject({
    status: 'accepted',
    policy: { retentionDays: 5, epochWindow: 1, maxMembers: 1000 },
  });
  const outcome = await change('alice', { retentionDays: null });
  expect(outcome).toMatchObject({ status: 'accepted', policy: { epochWindow: 1 } });
  expect(outcome).not.toHaveProperty('policy.retentionDays');
});

test('a deleted conversation is gone for everybody, but the deletion is answered again', async () => {
  const conversation = await start();
  const remove: Request = { kind: 'delete', id: 'd', actor: 'alice' };
  expect(await ask(conversation, { ...remove, actor: 'bob' })).toEqual({ status: 'refused', code: 'not-allowed' });
  const { facts, outcomes } = await send(database().pool, conversation, [remove, message('alice', 0)]);
  expect(outcomes[0]).toEqual({ status: 'accepted' });
  expect(facts.found).toBe(false);
  expect(await ask(conversation, message('bob', 0))).toEqual({ status: 'refused', code: 'not-found' });
  expect(await ask(conversation, remove)).toEqual({ status: 'duplicate' });
  expect(await ask(conversation, { ...remove, actor: 'bob' })).toEqual({ status: 'refused', code: 'not-found' });
  expect(await readPage(database().pool, conversation, 'alice', 0, 10)).toBeUndefined();
});

test('operations by reference are answered after their bytes are gone, where the answer is certain', async () => {
  const { pool } = database();
  const conversation = await start();
  const requests: Request[] = [
    message('bob', 0, 'ref-m'),
    commit('alice', 0, { id: 'ref-c', adds: ['dave'] }),
    { kind: 'leave', id: 'ref-l', actor: 'carol', body: 'remove me', epoch: 1 },
  ];
  const { decision, operations } = await sendStaged(pool, conversation, requests);
  expect(decision.outcomes.map(({ status }) => status)).toEqual(['accepted', 'accepted', 'accepted']);
  const again = await decide(pool, conversation, operations);
  expect(again.outcomes).toMatchObject([
    { status: 'accepted', seq: 1, epoch: 0 },
    { status: 'refused', code: 'body-missing' },
    { status: 'refused', code: 'body-missing' },
  ]);
  const inlined = inline(requests);
  const once = await decide(pool, conversation, inlined.operations, inlined.bytes);
  expect(once.outcomes).toEqual(decision.outcomes.map((outcome) => ({ ...outcome, status: 'duplicate' })));
  expect((await pool.query('select from staged')).rowCount).toBe(0);
});

test('invariant 12: a message reads and writes the same rows among 2 and among 1000 members', async () => {
  const work: Record<string, number[]>[][] = [];
  for (const members of [2, 1000]) {
    const conversation = await start({ members: Array.from({ length: members - 1 }, (_, i) => `u${i}`) });
    const ofThis: Record<string, number[]>[] = [];
    for (const batch of [1, 3, 20]) {
      const requests = Array.from({ length: batch }, (_, i) => message(i % 2 === 0 ? 'alice' : 'u0', 0));
      ofThis.push(await rowsTouched(conversation, requests));
    }
    work.push(ofThis);
  }
  expect(work[1]).toEqual(work[0]);
  expect(work[0]?.[0]).toEqual({ conversation: [0, 1, 2], entry: [1, 0, 0], member: [0, 1, 2] });
});

/** Rows inserted, updated and fetched for a batch, by table. */
async function rowsTouched(conversation: string, requests: readonly Request[]): Promise<Record<string, number[]>> {
  const { operations, bytes } = inline(requests);
  const client = await database().pool.connect();
  const counts = async (): Promise<Map<string, number[]>> => {
    const { rows } = await client.query<{ table: string; counts: number[] }>(
      `select relname as table, array[n_tup_ins, n_tup_upd, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)]::int[]
         as counts from pg_stat_xact_user_tables where schemaname = 'parley' order by relname`,
    );
    return new Map(rows.map((row) => [row.table, row.counts]));
  };
  try {
    await client.query('begin');
    const before = await counts();
    await client.query('select decide($1, $2, $3)', [conversation, JSON.stringify(operations), bytes]);
    const after = await counts();
    await client.query('commit');
    const touched = [...after].map(
      ([table, now]) => [table, now.map((n, i) => n - (before.get(table)?.[i] ?? 0))] as const,
    );
    return Object.fromEntries(touched.filter(([, each]) => each.some((n) => n > 0)));
  } finally {
    client.release();
  }
}

async function welcomes(conversation: string): Promise<unknown[]> {
  const { rows } = await database().pool.query<Record<string, unknown>>(
    `select user_id as user, seq, w.epoch, convert_from(b.welcome, 'UTF8') as welcome from welcome w
     join welcome_body b using (conversation, seq) join conversation c on c.key = w.conversation where c.id = $1 order by user_id`,
    [conversation],
  );
  return rows;
}

async function groupInfo(conversation: string): Promise<unknown[]> {
  const { rows } = await database().pool.query<Record<string, unknown>>(
    `select g.epoch, convert_from(group_info, 'UTF8') as "groupInfo" from group_info g
     join conversation c on c.key = g.conversation where c.id = $1`,
    [conversation],
  );
  return rows;
}
