import { decodeMlsMessage, emptyPskIndex, joinGroup, processMessage, acceptAll, proposeAddExternal } from 'ts-mls';
import { describe, expect, test } from 'vitest';
import type { Answer } from '../../../tools/harness/answer.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { MAX_JOIN_REQUESTS } from '../../../domain/limits.ts';
import { base64 } from '../../harness/api/conversations.ts';
import { privateMessage } from '../../harness/api/frames.ts';
import { useApi } from '../../harness/api/use-api.ts';
import {
  type Bundle,
  type Group,
  type Keys,
  SUITE,
  commit,
  deliver,
  groupInfoOf,
  makeBundle,
  makeExternal,
  newKeys,
  removalOf,
  startGroup,
  verdict,
  wire,
} from '../../harness/mls/group.ts';

// Outsiders ask to join by a proposal with their own key package (RFC 9420 §12.1.8).

const { database, service } = useApi();

const REQUEST = { externalJoin: 'request' };

/** A proposal by which somebody asks to join, for the current epoch of alice's state. */
async function requestOf(group: Group, keys: Keys): Promise<string> {
  const info = await groupInfoOf(group.of('alice'));
  const message = await proposeAddExternal(info, keys.publicPackage, keys.privatePackage, SUITE);
  if (message.wireformat !== 'mls_public_message') throw new Error('no PublicMessage');
  return wire(message);
}

function ask(group: Group, user: string, ciphertext: string, id = `ask-${user}`): Promise<Answer> {
  return service.ask(`POST /v1/conversations/${group.id}/messages`, { user, body: { id, ciphertext } });
}

async function askToJoin(group: Group, user: string): Promise<[Answer, Keys, string]> {
  const keys = await newKeys(user);
  const proposal = await requestOf(group, keys);
  return [await ask(group, user, proposal), keys, proposal];
}

/** A commit of a member that takes in proposals of the log by reference. */
async function takingIn(group: Group, user: string, ...proposals: string[]): Promise<Bundle> {
  let state = group.of(user);
  for (const proposal of proposals) {
    const message = decodeMlsMessage(Buffer.from(proposal, 'base64'), 0)?.[0];
    if (message?.wireformat !== 'mls_public_message') throw new Error('no PublicMessage');
    const result = await processMessage(message, state, emptyPskIndex, acceptAll, SUITE);
    if (result.kind !== 'newState') throw new Error('no proposal');
    state = result.newState;
  }
  return makeBundle(state);
}

describe('where users may ask to join', () => {
  test('an outsider reads the epoch and the cipher suite, asks, and gets the Welcome of whoever commits its request', async () => {
    const group = await startGroup(service, ['alice', 'bob'], REQUEST);
    const at = `/v1/conversations/${group.id}`;
    const [answer, keys, proposal] = await askToJoin(group, 'dave');
    expect(answer.body).toMatchObject({ results: [{ id: 'ask-dave', seq: 1, epoch: 1, status: 'accepted' }] });
    expect((await ask(group, 'dave', proposal, 'again')).body.results).toMatchObject([{ seq: 1, status: 'duplicate' }]);
    expect(verdict(await ask(group, 'dave', await requestOf(group, await newKeys('dave')), 'other'))).toEqual([
      429,
      'rate-limited',
    ]);
    const page = await service.ask(`GET /v1/conversations/${group.id}/messages`, { user: 'bob' });
    expect(page.body.entries).toMatchObject([
      { seq: 1, kind: 'proposal', sender: 'dave', epoch: 1, ciphertext: proposal },
    ]);
    await checkInvariants(database().pool, group.id);
    const bundle = await takingIn(group, 'bob', proposal);
    expect(verdict(await commit(service, group.id, 'bob', { ...bundle.body, adds: ['dave'] }))).toEqual([
      200,
      undefined,
    ]);
    const { body } = await service.ask('GET /v1/welcomes', { user: 'dave' });
    const [welcome] = body.welcomes as { conversation: string; welcome: string }[];
    expect(welcome).toMatchObject({ conversation: group.id });
    const message = decodeMlsMessage(Buffer.from(welcome?.welcome ?? '', 'base64'), 0)?.[0];
    if (message?.wireformat !== 'mls_welcome') throw new Error('no Welcome');
    const state = await joinGroup(message.welcome, keys.publicPackage, keys.privatePackage, emptyPskIndex, SUITE);
    expect(state.groupContext.epoch).toBe(2n);

    // All that an outsider may read.
    expect((await service.ask(`GET ${at}/epoch`, { user: 'erin' })).body).toEqual({ epoch: 2, cipherSuite: 1 });
    expect((await service.ask(`GET ${at}/epoch`, { user: 'bob' })).body).toEqual({ epoch: 2 });
    for (const other of ['', '/members', '/messages', '/group-info']) {
      expect([other, (await service.ask(`GET ${at}${other}`, { user: 'erin' })).status]).toEqual([other, 404]);
    }
    const external = await makeExternal(await groupInfoOf(group.of('alice')), await newKeys('erin'));
    expect((await commit(service, group.id, 'erin', external.body)).status).toBe(404);
    const text = base64(privateMessage(group.id, 1));
    expect((await ask(group, 'erin', text)).status).toBe(404);
  });

  test('the request is void after its epoch, its retry is answered, and the user may ask again', async () => {
    const group = await startGroup(service, ['alice', 'bob'], REQUEST);
    const [, keys, proposal] = await askToJoin(group, 'dave');
    const bundle = await makeBundle(group.of('alice'));
    await commit(service, group.id, 'alice', bundle.body);
    await deliver(group, 'alice', bundle);
    expect((await ask(group, 'dave', proposal)).body.results).toMatchObject([{ seq: 1, status: 'duplicate' }]);
    const stale = await startGroup(service, ['alice', 'bob'], REQUEST);
    const late = await requestOf(stale, await newKeys('dave'));
    await commit(service, stale.id, 'alice', (await makeBundle(stale.of('alice'))).body);
    expect((await ask(stale, 'dave', late)).body).toMatchObject({ code: 'proposal-stale', currentEpoch: 2 });
    // With the same key package, which is still free.
    expect((await ask(group, 'dave', await requestOf(group, keys), 'second')).status).toBe(200);
  });

  test('a member may ask for a further device of its own', async () => {
    const group = await startGroup(service, ['alice', 'bob'], { externalJoin: 'nobody', groupInfo: 'required' });
    const [answer, , proposal] = await askToJoin(group, 'bob');
    expect(answer.status).toBe(200);
    const bundle = await takingIn(group, 'alice', proposal);
    expect(verdict(await commit(service, group.id, 'alice', { ...bundle.body, adds: ['bob'] }))).toEqual([
      200,
      undefined,
    ]);
  });
});

describe('nobody asks', () => {
  test('where only members may join, with a bar, or after a removal by somebody else; whoever left may', async () => {
    const closed = await startGroup(service, ['alice', 'bob'], { externalJoin: 'member' });
    expect((await askToJoin(closed, 'dave'))[0].status).toBe(404);
    const group = await startGroup(service, ['alice', 'bob', 'carol'], REQUEST);
    await service.ask(`POST /v1/conversations/${group.id}/members/dave/bar`, { user: 'alice' });
    expect((await askToJoin(group, 'dave'))[0].status).toBe(404);
    expect((await service.ask(`GET /v1/conversations/${group.id}/epoch`, { user: 'dave' })).status).toBe(404);
    const removal = await makeBundle(group.of('alice'), removalOf(group.of('alice'), 'bob'));
    await commit(service, group.id, 'alice', { ...removal.body, removes: ['bob'] });
    await deliver(group, 'alice', removal);
    expect((await askToJoin(group, 'bob'))[0].status).toBe(404);
    expect((await service.ask(`GET /v1/conversations/${group.id}/epoch`, { user: 'bob' })).status).toBe(403);
    await service.ask(`DELETE /v1/conversations/${group.id}/members/carol`, { user: 'carol' });
    expect((await askToJoin(group, 'carol'))[0].status).toBe(200);
  });

  test('with a proposal that is not its own, or not right', async () => {
    const group = await startGroup(service, ['alice', 'bob'], REQUEST);
    const keys = await newKeys('dave');
    const proposal = await requestOf(group, keys);
    expect(verdict(await ask(group, 'erin', proposal))).toEqual([403, 'identity-mismatch']);
    const forged = Buffer.from(proposal, 'base64');
    forged.writeUInt8(forged.readUInt8(forged.length - 1) ^ 1, forged.length - 1);
    expect(verdict(await ask(group, 'dave', base64(forged)))).toEqual([403, 'identity-mismatch']);
    // A member may pass it on, and that makes no request.
    expect((await ask(group, 'bob', proposal)).status).toBe(200);
    const bundle = await takingIn(group, 'alice', proposal);
    expect(verdict(await commit(service, group.id, 'alice', { ...bundle.body, adds: ['dave'] }))).toEqual([
      422,
      'welcome-mismatch',
    ]);
    expect((await ask(group, 'dave', proposal)).status).toBe(200);
    expect(verdict(await commit(service, group.id, 'alice', { ...bundle.body, adds: ['dave'] }))).toEqual([
      200,
      undefined,
    ]);
    // The package is used now, and its keys are taken.
    const other = await startGroup(service, ['alice', 'bob'], REQUEST);
    expect(verdict(await ask(other, 'dave', await requestOf(other, keys)))).toEqual([409, 'key-package-stale']);
  });

  test('with a key package that somebody else has claimed', async () => {
    const group = await startGroup(service, ['alice', 'bob'], REQUEST);
    const keys = await newKeys('frank');
    const keyPackage = wire({ wireformat: 'mls_key_package', keyPackage: keys.publicPackage });
    await service.ask('PUT /v1/key-packages', { user: 'frank', body: { keyPackages: [keyPackage] } });
    await service.ask('POST /v1/users/frank/key-packages/claim', { user: 'erin', body: {} });
    expect(verdict(await ask(group, 'frank', await requestOf(group, keys)))).toEqual([409, 'key-package-stale']);
  });

  test('when too many requests are pending', async () => {
    const group = await startGroup(service, ['alice', 'bob'], REQUEST);
    await database().pool.query(
      `insert into join_request (conversation, user_id, epoch, seq, ref)
       select key, 'user ' || n, epoch, 0, '' from conversation, generate_series(1, $2) n where id = $1`,
      [group.id, MAX_JOIN_REQUESTS],
    );
    const [answer] = await askToJoin(group, 'dave');
    expect(answer).toMatchObject({ status: 429, body: { code: 'rate-limited' } });
  });
});
