import type { CiphersuiteImpl, ClientState, GroupInfo } from 'ts-mls';
import { createGroup, createGroupInfoWithExternalPubAndRatchetTree, joinGroupExternal } from 'ts-mls';
import { trustingConfig as config } from '../../../client/testing.ts';
import { joiningSuite, makeGroupInfo } from '../../../client/ts-mls/group-info.ts';
import { loadSuite, makeKeyPackage } from '../../../client/ts-mls/key-package.ts';
import { checkExternalPub } from '../../../mls/external-pub.ts';
import { suiteOf } from '../../../mls/suite.ts';
import { describe, expect, test } from 'vitest';

/** The number of the cipher suite, and the bytes before the key: its length as RFC 9420 §2.1.2 writes it. */
const SUITES = [
  { id: 1, length: [32] },
  { id: 2, length: [0x40, 65] },
  { id: 3, length: [32] },
  { id: 4, length: [56] },
  { id: 5, length: [0x40, 133] },
  { id: 6, length: [56] },
  { id: 7, length: [0x40, 97] },
];

async function newGroup(suite: CiphersuiteImpl): Promise<ClientState> {
  const signatureKeyPair = await suite.signature.keygen();
  const owner = { user: 'alice', signatureKeyPair };
  const { publicPackage, privatePackage } = await makeKeyPackage(owner, suite);
  return createGroup(new Uint8Array(16).fill(7), publicPackage, privatePackage, [], suite, config);
}

async function joins(info: GroupInfo, suite: CiphersuiteImpl): Promise<bigint> {
  const owner = { user: 'bob', signatureKeyPair: await suite.signature.keygen() };
  const { publicPackage, privatePackage } = await makeKeyPackage(owner, suite);
  const joining = joiningSuite(suite, info);
  const { newState } = await joinGroupExternal(info, publicPackage, privatePackage, false, joining, undefined, config);
  return newState.groupContext.epoch;
}

function externalPub({ extensions }: GroupInfo): Uint8Array {
  const found = extensions.find(({ extensionType }) => extensionType === 'external_pub');
  if (found === undefined) throw new Error('no external_pub');
  return found.extensionData;
}

describe.each(SUITES)('the GroupInfo of a device, with cipher suite $id', ({ id, length }) => {
  test('has external_pub as a vector, and a device joins by it', async () => {
    const suite = await loadSuite(id);
    const info = await makeGroupInfo(await newGroup(suite), suite);
    const data = externalPub(info);
    expect([...data.subarray(0, length.length)]).toStrictEqual(length);
    expect(data).toHaveLength(length.length + (length.at(-1) ?? 0));
    const known = suiteOf(id);
    if (known === undefined) throw new Error('the service does not know the suite');
    expect(checkExternalPub({ extensions: [{ type: 4, data: Buffer.from(data) }] }, known, false)).toBe(true);
    expect(await joins(info, suite)).toBe(1n);
  });

  test('may have the bare key, as other programs with ts-mls write it', async () => {
    const suite = await loadSuite(id);
    const info = await createGroupInfoWithExternalPubAndRatchetTree(await newGroup(suite), [], suite);
    expect(externalPub(info)).toHaveLength(length.at(-1) ?? 0);
    expect(await joins(info, suite)).toBe(1n);
  });
});

test('a bare key that looks like a vector is still a key', async () => {
  const suite = await loadSuite();
  // X25519 takes any 32 bytes: 31 is the length of the other 31 bytes.
  const key = Uint8Array.of(31, ...new Uint8Array(31).fill(9));
  const extensions = [{ extensionType: 'external_pub' as const, extensionData: key }];
  const { hpke } = joiningSuite(suite, { extensions });
  expect(await hpke.exportPublicKey(await hpke.importPublicKey(key))).toStrictEqual(key);
});

test('a device refuses a cipher suite that ts-mls does not know', async () => {
  await expect(loadSuite(9999)).rejects.toThrow('ts-mls does not know cipher suite 9999');
});
