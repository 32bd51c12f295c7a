import type { CiphersuiteImpl, ClientState } from 'ts-mls';
import {
  acceptAll,
  createApplicationMessage,
  createCommit,
  createGroup,
  emptyPskIndex,
  joinGroup,
  processMessage,
} from 'ts-mls';
import { beforeAll, expect, test } from 'vitest';
import { GroupSignals } from '../../../client/group/group-signals.ts';
import type { LeafOwner, MlsLibrary } from '../../../client/mls/mls-library.ts';
import { type OpenedSignal, openSignal, sealSignal, signalKeysOf } from '../../../client/mls/signals.ts';
import { groupStateOf, loadSuite, makeKeyPackage, trustingMls } from '../../../client/testing.ts';

/** More than the steps that a receiver of MLS messages goes ahead. */
const MISSED = 1000;

let suite: CiphersuiteImpl;
let mls: MlsLibrary;
let alice: ClientState;
let bob: ClientState;

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

beforeAll(async () => {
  suite = await loadSuite();
  mls = await trustingMls();
  const packageOf = async (user: string): ReturnType<typeof makeKeyPackage> =>
    makeKeyPackage({ user, signatureKeyPair: await suite.signature.keygen() }, suite);
  const [first, second] = [await packageOf('alice'), await packageOf('bob')];
  const begun = await createGroup(bytes('a group of two'), first.publicPackage, first.privatePackage, [], suite);
  const { newState, welcome } = await createCommit(
    { state: begun, cipherSuite: suite },
    {
      extraProposals: [{ proposalType: 'add', add: { keyPackage: second.publicPackage } }],
      ratchetTreeExtension: true,
    },
  );
  alice = newState;
  if (welcome === undefined) throw new Error('there is no Welcome');
  bob = await joinGroup(welcome, second.publicPackage, second.privatePackage, emptyPskIndex, suite);
});

async function signal(state: ClientState, text: string, leafIndex = state.privatePath.leafIndex): Promise<Uint8Array> {
  const content = { leafIndex, at: 1, data: bytes(text) };
  return sealSignal(await signalKeysOf(groupStateOf(state), mls), content, state.signaturePrivateKey, mls);
}

async function open(state: ClientState, sealed: Uint8Array): Promise<OpenedSignal> {
  return openSignal(await signalKeysOf(groupStateOf(state), mls), sealed, mls);
}

test('both members derive the same key, and another group another one', async () => {
  const { data, leafIndex, at } = await open(bob, await signal(alice, 'typing'));
  expect([new TextDecoder().decode(data), leafIndex, at]).toEqual(['typing', 0, 1]);
  const [ofAlice, ofBob] = [await signalKeysOf(groupStateOf(alice), mls), await signalKeysOf(groupStateOf(bob), mls)];
  expect(ofBob.key).toEqual(ofAlice.key);
  expect(ofAlice.key).not.toEqual(alice.keySchedule.exporterSecret.subarray(0, ofAlice.key.length));
});

test('no member can speak for another one, although all have the key', async () => {
  await expect(open(bob, await signal(alice, 'bob is typing', 1))).rejects.toThrow('signature');
  await expect(open(bob, await signal(alice, 'nobody is typing', 7))).rejects.toThrow('no leaf');
});

test('a state that the service has lost opens and seals nothing, and the next one does', async () => {
  const ownerOf = (user: string, { signaturePrivateKey: signKey }: ClientState): LeafOwner => ({
    user,
    signatureKeyPair: { signKey, publicKey: new Uint8Array() },
  });
  const [sender, receiver] = [
    new GroupSignals(mls, ownerOf('alice', alice)),
    new GroupSignals(mls, ownerOf('bob', bob)),
  ];
  const whole = groupStateOf(bob);
  await receiver.enter(whole);
  const sealed = await sender.seal(groupStateOf(alice), bytes('typing'));
  const dead = mls.readable(whole, undefined);
  expect(await receiver.open(dead, sealed)).toBeUndefined();
  await expect(receiver.seal(dead, bytes('typing'))).rejects.toThrow('joined the group again');
  expect(await receiver.open(whole, sealed)).toMatchObject({ sender: 'alice' });
});

test('two signals of the same content differ', async () => {
  expect(await signal(alice, 'typing')).not.toEqual(await signal(alice, 'typing'));
});

test('after 1,000 missed signals the next message opens; as MLS messages they would have made it unreadable', async () => {
  let sender = alice;
  const send = async (text: string): ReturnType<typeof createApplicationMessage> => {
    const made = await createApplicationMessage(sender, bytes(text), suite);
    sender = made.newState;
    return made;
  };
  const receive = async ({ privateMessage }: Awaited<ReturnType<typeof send>>): Promise<string> => {
    const message = { wireformat: 'mls_private_message', privateMessage } as const;
    const result = await processMessage(message, bob, emptyPskIndex, acceptAll, suite);
    if (result.kind !== 'applicationMessage') throw new Error('not an application message');
    return new TextDecoder().decode(result.message);
  };
  for (let i = 0; i < MISSED; i++) await signal(sender, `typing ${i}`);
  expect(await receive(await send('hello'))).toBe('hello');

  sender = alice;
  for (let i = 0; i < 201; i++) await send(`typing ${i}`);
  await expect(receive(await send('hello'))).rejects.toThrow();
});
