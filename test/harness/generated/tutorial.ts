import { expect } from 'vitest';
import {
  type ClientState,
  acceptAll,
  createApplicationMessage,
  createGroup,
  emptyPskIndex,
  joinGroup,
  processMessage,
} from 'ts-mls';
import { decodeMessage, loadSuite, makeKeyPackage } from '../../../client/testing.ts';
import type { Service } from '../../../tools/harness/service.ts';
import type { TutorialInput, TutorialKeys, TutorialResult } from './tutorial-io.ts';
import { SUITE, add, groupInfoOf, makeBundle, wire, wireGroupInfo } from '../mls/group.ts';

/** A device at both ends of the tutorial: before and after what the program sends. */
export interface Tutorial {
  readonly input: TutorialInput;
  /** Checks what the program saw, and that bob can join and both can read with what went through the service. */
  readonly check: (result: TutorialResult) => Promise<void>;
}

const PHONE = 'phone';
const LAPTOP = 'laptop';
const SAID = { alice: 'Hello bob!', bob: 'Hello alice!' };

/** The tutorial (docs/tutorial/first-encrypted-group.md) for a program that has no MLS library: all bytes are made before. */
export async function makeTutorial(service: Pick<Service, 'urls' | 'token'>): Promise<Tutorial> {
  const [alice, bob] = await Promise.all([makeKeys('alice'), makeKeys('bob')]);
  const groupId = crypto.getRandomValues(new Uint8Array(16));
  const id = Buffer.from(groupId).toString('base64url');
  const begun = await createGroup(groupId, alice.one.publicPackage, alice.one.privatePackage, [], SUITE);
  const added = await makeBundle(begun, [add(bob.one)]);
  const { welcome = '' } = added.body;
  const joined = await join(welcome, bob);
  const updated = await makeBundle(joined);
  const at2 = await received(added.newState, updated.body.commit);
  const [fromBob, fromAlice] = await Promise.all([say(updated.newState, SAID.bob), say(at2.state, SAID.alice)]);
  const [url = ''] = service.urls();
  const input: TutorialInput = {
    url,
    tokens: {
      alice: await service.token('alice', { device: PHONE }),
      bob: await service.token('bob', { device: LAPTOP }),
      carol: await service.token('carol', { device: 'tablet' }),
      operator: await service.token('admin', { operator: true }),
    },
    group: { id, groupInfo: wireGroupInfo(await groupInfoOf(begun)) },
    keys: { alice: alice.uploaded, bob: bob.uploaded },
    addBob: { ...added.body, welcome },
    update: updated.body,
    messages: { bob: fromBob, alice: fromAlice },
  };
  const check = async (result: TutorialResult): Promise<void> => {
    expect(result).toEqual({
      before: 0,
      claimed: { device: LAPTOP, keyPackage: bob.uploaded.keyPackages[0] },
      epochs: [0, 1, 2],
      welcome,
      conversation: { id, epoch: 2, lastSeq: 4, memberCount: 2, role: 'admin' },
      members: ['alice', 'bob'],
      entries: [
        { seq: 1, kind: 'commit', ciphertext: added.body.commit },
        { seq: 2, kind: 'commit', ciphertext: updated.body.commit },
        { seq: 3, kind: 'application', ciphertext: fromBob },
        { seq: 4, kind: 'application', ciphertext: fromAlice },
      ],
      stock: { available: 0, lastResort: true },
      refused: { carol: 'not-found', add: 'commit-required' },
      acknowledged: 3,
      streamed: { seq: 4, kind: 'application' },
      workflow: { id: `conversation/${id}`, running: true },
      commits: 2,
    });
    const ciphertexts = result.entries.map(({ ciphertext }) => ciphertext);
    const [, update = '', hello = '', answer = ''] = ciphertexts;
    expect((await join(result.welcome, bob)).confirmationTag).toEqual(joined.confirmationTag);
    expect((await received(added.newState, update)).state.confirmationTag).toEqual(updated.newState.confirmationTag);
    expect((await received(at2.state, hello)).text).toBe(SAID.bob);
    expect((await received(updated.newState, answer)).text).toBe(SAID.alice);
  };
  return { input, check };
}

type Keys = Awaited<ReturnType<typeof makeKeys>>;

async function makeKeys(user: string): Promise<{
  readonly one: Awaited<ReturnType<typeof makeKeyPackage>>;
  readonly uploaded: TutorialKeys;
}> {
  const suite = await loadSuite();
  const owner = { user, device: 'default', signatureKeyPair: await suite.signature.keygen() };
  const [one, last] = await Promise.all([makeKeyPackage(owner, suite), makeKeyPackage(owner, suite, true)]);
  const bytesOf = ({ publicPackage }: typeof one): string =>
    wire({ wireformat: 'mls_key_package', keyPackage: publicPackage });
  return { one, uploaded: { keyPackages: [bytesOf(one)], lastResort: bytesOf(last) } };
}

async function join(welcome: string, { one }: Keys): Promise<ClientState> {
  const message = decodeMessage(welcome);
  if (message.wireformat !== 'mls_welcome') throw new Error('no Welcome');
  return joinGroup(message.welcome, one.publicPackage, one.privatePackage, emptyPskIndex, SUITE);
}

async function say(state: ClientState, text: string): Promise<string> {
  const { privateMessage } = await createApplicationMessage(state, new TextEncoder().encode(text), SUITE);
  return wire({ wireformat: 'mls_private_message', privateMessage });
}

/** A commit or a message of another device. */
async function received(state: ClientState, bytes: string): Promise<{ state: ClientState; text?: string }> {
  const message = decodeMessage(bytes);
  if (message.wireformat !== 'mls_private_message') throw new Error('no private message');
  const result = await processMessage(message, state, emptyPskIndex, acceptAll, SUITE);
  if (result.kind === 'newState') return { state: result.newState };
  return { state: result.newState, text: new TextDecoder().decode(result.message) };
}
