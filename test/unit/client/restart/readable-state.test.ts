import type { ClientState } from 'ts-mls';
import { createApplicationMessage, createCommit, createGroup, emptyPskIndex, joinGroup } from 'ts-mls';
import { describe, expect, test } from 'vitest';
import {
  trustingConfig as config,
  decodeMessage,
  encodeMessage,
  loadSuite,
  makeKeyPackage,
} from '../../../../client/testing.ts';
import { receive } from '../../../../client/ts-mls/receiving.ts';
import { readableState } from '../../../../client/ts-mls/readable-state.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Two members at epoch 1, and the first one after a commit that the service loses. */
async function pair() {
  const suite = await loadSuite();
  const make = async (user: string) => {
    const keys = await suite.signature.keygen();
    return makeKeyPackage({ user, signatureKeyPair: { signKey: keys.signKey, publicKey: keys.publicKey } }, suite);
  };
  const [alice, bob] = [await make('alice'), await make('bob')];
  const created = await createGroup(bytes('group'), alice.publicPackage, alice.privatePackage, [], suite, config);
  const add = { proposalType: 'add' as const, add: { keyPackage: bob.publicPackage } };
  const added = await createCommit(
    { state: created, cipherSuite: suite },
    { extraProposals: [add], ratchetTreeExtension: true },
  );
  if (added.welcome === undefined) throw new Error('no Welcome');
  const { publicPackage, privatePackage } = bob;
  const other = await joinGroup(
    added.welcome,
    publicPackage,
    privatePackage,
    emptyPskIndex,
    suite,
    undefined,
    undefined,
    config,
  );
  const lost = await createCommit({ state: added.newState, cipherSuite: suite }, {});
  const sent = async (state: ClientState, text: string): Promise<string> => {
    const { privateMessage } = await createApplicationMessage(state, bytes(text), suite);
    return encodeMessage({ wireformat: 'mls_private_message', privateMessage });
  };
  return { suite, other, dead: lost.newState, sent };
}

describe('what stays of a state whose epoch the service has lost', () => {
  test('reads messages of the last common epoch', async () => {
    const { suite, other, dead, sent } = await pair();
    const message = decodeMessage(await sent(other, 'after the restore'));
    const read = await receive(message, readableState(dead, 1), suite);
    expect(read.kind === 'applicationMessage' && new TextDecoder().decode(read.message)).toBe('after the restore');
  });

  test('sends nothing, and reads nothing of the lost epoch', async () => {
    const { suite, dead, sent } = await pair();
    for (const epoch of [1, undefined]) {
      const state = readableState(dead, epoch);
      await expect(createApplicationMessage(state, bytes('never'), suite)).rejects.toThrow();
      await expect(createCommit({ state, cipherSuite: suite }, {})).rejects.toThrow();
      await expect(receive(decodeMessage(await sent(dead, 'lost')), state, suite)).rejects.toThrow();
    }
  });

  test('has no secret of the lost epoch', async () => {
    const { dead } = await pair();
    const hex = (secret: Uint8Array): string => Buffer.from(secret).toString('hex');
    const left = JSON.stringify(readableState(dead, 1), (_key, part: unknown) => {
      if (part instanceof Uint8Array) return hex(part);
      if (part instanceof Map) return [...(part as Map<unknown, unknown>)];
      return typeof part === 'bigint' ? String(part) : part;
    });
    const secrets = [
      ...Object.values(dead.keySchedule as unknown as Record<string, Uint8Array>),
      ...Object.values(dead.privatePath.privateKeys),
      ...dead.secretTree.map(({ application }) => application.secret),
      dead.signaturePrivateKey,
    ].filter((secret) => secret.length > 0);
    expect(secrets.length).toBeGreaterThan(8);
    for (const secret of secrets) expect(left).not.toContain(hex(secret));
  });
});
