import type { CiphersuiteImpl, ClientState, ExternalSender, MLSMessage, Proposal } from 'ts-mls';
import { createCommit, createGroup, emptyPskIndex, encodeMlsMessage, joinGroup, processMessage } from 'ts-mls';
import { protectExternalProposalPublic } from 'ts-mls/messageProtectionPublic.js';
import { describe, expect, test } from 'vitest';
import { trustingConfig as config } from '../../../client/testing.ts';
import {
  externalSendersExtension,
  externalSendersOf,
  isOfExternalSender,
  withBareSenders,
} from '../../../client/ts-mls/external-senders.ts';
import { loadSuite, makeKeyPackage } from '../../../client/ts-mls/key-package.ts';

type Keys = Awaited<ReturnType<CiphersuiteImpl['signature']['keygen']>>;

const senderOf = ({ publicKey }: Keys, name: string): ExternalSender => ({
  signaturePublicKey: publicKey,
  credential: { credentialType: 'basic', identity: new TextEncoder().encode(name) },
});

/** A group of two whose GroupContext lists the senders. */
async function groupOf(suite: CiphersuiteImpl, senders: readonly ExternalSender[]): Promise<ClientState[]> {
  const make = async (user: string): ReturnType<typeof makeKeyPackage> =>
    makeKeyPackage({ user, signatureKeyPair: await suite.signature.keygen() }, suite);
  const [alice, bob] = [await make('alice'), await make('bob')];
  const id = new Uint8Array(16).fill(1);
  const bare = await createGroup(id, alice.publicPackage, alice.privatePackage, [], suite, config);
  const state = { ...bare, groupContext: { ...bare.groupContext, extensions: [externalSendersExtension(senders)] } };
  const add: Proposal = { proposalType: 'add', add: { keyPackage: bob.publicPackage } };
  const { newState, welcome } = await createCommit(
    { state, cipherSuite: suite },
    { extraProposals: [add], ratchetTreeExtension: true },
  );
  if (welcome === undefined) throw new Error('no Welcome');
  const joined = await joinGroup(
    ...([welcome, bob.publicPackage, bob.privatePackage, emptyPskIndex, suite] as const),
    ...([undefined, undefined, config] as const),
  );
  return [newState, joined];
}

/** A Remove of bob's leaf by the external sender with this index. */
async function removal(state: ClientState, suite: CiphersuiteImpl, { signKey }: Keys, senderIndex: number) {
  const proposal: Proposal = { proposalType: 'remove', remove: { removed: 1 } };
  const { publicMessage } = await protectExternalProposalPublic(
    ...([signKey, state.groupContext, new Uint8Array(), proposal] as const),
    ...([{ senderType: 'external', senderIndex }, suite] as const),
  );
  return { version: 'mls10', wireformat: 'mls_public_message', publicMessage } as const;
}

describe('external senders', () => {
  test('are a vector in the extension, as RFC 9420 §12.1.8.1 writes it', async () => {
    const suite = await loadSuite();
    const sender = senderOf(await suite.signature.keygen(), 'parley');
    const { extensionData } = externalSendersExtension([sender]);
    const expected = [1 + 32 + 2 + 1 + 6, 32, ...sender.signaturePublicKey, 0, 1, 6, ...Buffer.from('parley')];
    expect([...extensionData]).toStrictEqual(expected);
    const groupContext = { extensions: [externalSendersExtension([sender, sender])] } as ClientState['groupContext'];
    expect(externalSendersOf({ groupContext })).toStrictEqual([sender, sender]);
  });

  test.each([0, 1])('number %i removes a leaf, and both members agree on the epoch after it', async (index) => {
    const suite = await loadSuite();
    const keys = [await suite.signature.keygen(), await suite.signature.keygen()];
    const [alice, bob] = await groupOf(
      suite,
      keys.map((pair, i) => senderOf(pair, `service ${i}`)),
    );
    const signer = keys[index];
    if (alice === undefined || bob === undefined || signer === undefined) throw new Error('no group');
    const message = await removal(alice, suite, signer, index);
    expect(isOfExternalSender(message)).toBe(true);
    const read = async (state: ClientState): Promise<ClientState> => {
      const { newState } = await processMessage(message, withBareSenders(state), emptyPskIndex, () => 'accept', suite);
      return { ...newState, groupContext: state.groupContext };
    };
    const { commit, newState } = await createCommit({ state: await read(alice), cipherSuite: suite });
    const gone = await processMessage(asHandshake(commit), await read(bob), emptyPskIndex, () => 'accept', suite);
    expect(gone.newState.groupActiveState.kind).toBe('removedFromGroup');
    expect(newState.groupContext.extensions).toStrictEqual(alice.groupContext.extensions);
  });

  test('are refused with the key of another one', async () => {
    const suite = await loadSuite();
    const keys = [await suite.signature.keygen(), await suite.signature.keygen()];
    const [alice] = await groupOf(
      suite,
      keys.map((pair) => senderOf(pair, 'service')),
    );
    if (alice === undefined || keys[0] === undefined) throw new Error('no group');
    const message = await removal(alice, suite, keys[0], 1);
    const reading = processMessage(message, withBareSenders(alice), emptyPskIndex, () => 'accept', suite);
    await expect(reading).rejects.toThrow('Signature invalid');
  });

  test('in the bare form of ts-mls 1.6.4 are no vector', async () => {
    const suite = await loadSuite();
    const [alice] = await groupOf(suite, []);
    if (alice === undefined) throw new Error('no group');
    const extensions = [{ extensionType: 'external_senders' as const, extensionData: Uint8Array.of(1, 7, 0, 1, 0) }];
    const groupContext = { ...alice.groupContext, extensions };
    expect(() => externalSendersOf({ groupContext })).toThrow();
  });
});

function asHandshake(message: MLSMessage): Parameters<typeof processMessage>[0] {
  expect(encodeMlsMessage(message).length).toBeGreaterThan(0);
  if (message.wireformat !== 'mls_private_message') throw new Error('not a private commit');
  return message;
}
