import {
  generateKeyPackage,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
  defaultCapabilities,
  defaultLifetime,
  encodeMlsMessage,
} from 'ts-mls';
import type { CiphersuiteName } from 'ts-mls';
import { makeKeyPackageRef } from 'ts-mls/keyPackage.js';
import { expect, test } from 'vitest';
import { keyPackageRef } from '../../../mls/key-package-ref.ts';
import { verifySignature } from '../../../mls/signature.ts';
import { userOf } from '../../../mls/tree.ts';
import { vector } from '../../../mls/vector.ts';
import { type KeyPackage, parseFrame } from '../../../mls/frame.ts';

/** A key package of ts-mls: as the service parses it, and with the KeyPackageRef of ts-mls. */
async function keyPackageOf(name: CiphersuiteName, identity: Uint8Array): Promise<{ read: KeyPackage; ref: string }> {
  const suite = await getCiphersuiteImpl(getCiphersuiteFromName(name));
  const credential = { credentialType: 'basic', identity } as const;
  const { publicPackage } = await generateKeyPackage(credential, defaultCapabilities(), defaultLifetime, [], suite);
  const bytes = encodeMlsMessage({ version: 'mls10', wireformat: 'mls_key_package', keyPackage: publicPackage });
  const frame = parseFrame(bytes);
  if (!('wireFormat' in frame) || frame.wireFormat !== 'key_package') throw new Error('not a key package');
  const ref = Buffer.from(await makeKeyPackageRef(publicPackage, suite.hash)).toString('hex');
  return { read: frame.keyPackage, ref };
}

const SUITES = [
  'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519',
  'MLS_128_DHKEMP256_AES128GCM_SHA256_P256',
  'MLS_256_DHKEMP521_AES256GCM_SHA512_P521',
  'MLS_256_DHKEMP384_AES256GCM_SHA384_P384',
] as const satisfies CiphersuiteName[];

test.each(SUITES)('keyPackageRef gives the reference that a Welcome uses (%s)', async (name) => {
  const { read, ref } = await keyPackageOf(name, Buffer.from('alice'.repeat(40)));
  expect(keyPackageRef(read)).toBe(ref);
});

test.each(SUITES)('a leaf signature is valid with its own key and content only (%s)', async (name) => {
  const { cipherSuite, leaf } = (await keyPackageOf(name, Buffer.from('alice'))).read;
  const signed = { cipherSuite, publicKey: leaf.signatureKey, content: leaf.signed, signature: leaf.signature };
  const other = (await keyPackageOf(name, Buffer.from('alice'))).read.leaf;
  expect(await verifySignature('LeafNodeTBS', signed)).toBe('valid');
  expect(await verifySignature('GroupInfoTBS', signed)).toBe('invalid');
  expect(await verifySignature('LeafNodeTBS', { ...signed, publicKey: other.signatureKey })).toBe('invalid');
  expect(await verifySignature('LeafNodeTBS', { ...signed, content: other.signed })).toBe('invalid');
});

test('a malformed key or signature is invalid, and an unknown cipher suite is unknown', async () => {
  const noise = { publicKey: Buffer.from('k'), content: Buffer.from('c'), signature: Buffer.from('s') };
  for (const cipherSuite of [1, 2, 3, 4, 5, 6, 7]) {
    expect(await verifySignature('LeafNodeTBS', { ...noise, cipherSuite })).toBe('invalid');
  }
  for (const cipherSuite of [0, 8, 0x0a0a, 0xffff]) {
    expect(await verifySignature('LeafNodeTBS', { ...noise, cipherSuite })).toBe('unknown');
  }
});

test.each([
  [0, '00'],
  [63, '3f'],
  [64, '4040'],
  [16_383, '7fff'],
  [16_384, '80004000'],
])('a vector of %s bytes has the shortest length (RFC 9420 §2.1.2)', (length, header) => {
  const bytes = vector(Buffer.alloc(length, 1));
  expect(bytes.length).toBe(length + header.length / 2);
  expect(bytes.subarray(0, header.length / 2).toString('hex')).toBe(header);
});

test.each([
  [Buffer.from('zoë'), 'zoë'],
  [Buffer.from('did:example:alice'), 'did:example:alice'],
  [Buffer.from([0xc3]), undefined],
  [Buffer.from('\ufeffalice'), undefined],
  [Buffer.from('.'), undefined],
  [Buffer.from(''), undefined],
  [undefined, undefined],
])('case %#: a leaf belongs to the user whose id is in its credential', (identity, user) => {
  expect(userOf({ identity })).toBe(user);
});
