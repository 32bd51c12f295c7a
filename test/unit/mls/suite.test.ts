import { createECDH, createHash, generateKeyPairSync } from 'node:crypto';
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { describe, expect, test } from 'vitest';
import { canVerify, verifySignatureNow } from '../../../mls/signature.ts';
import { type Suite, suiteOf } from '../../../mls/suite.ts';

/** Cipher suites, as far as somebody without secrets needs them (RFC 9420 §5.1, §17.1). */

const known = (id: number): Suite => suiteOf(id) ?? expect.unreachable(`suite ${id} is known`);
const raw = (kind: 'x25519' | 'x448', bytes: number): Buffer => {
  const pair = kind === 'x25519' ? generateKeyPairSync('x25519') : generateKeyPairSync('x448');
  return pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(-bytes);
};

test('a cipher suite is known by its number, and is the same one each time', () => {
  expect(known(1)).toMatchObject({ id: 1, signature: 'Ed25519' });
  expect(suiteOf(1)).toBe(suiteOf(1));
  for (const id of [0, 8, 0xf000, -1]) expect(suiteOf(id)).toBeUndefined();
});

test.each([
  [1, 'sha256'],
  [2, 'sha256'],
  [7, 'sha384'],
  [5, 'sha512'],
])('suite %s has the hash function %s, of one part or more', (id, algorithm) => {
  const of = (text: string): Buffer => createHash(algorithm).update(text).digest();
  const [a, b] = [Buffer.from('a'), Buffer.from('b')];
  expect(known(id).hash(a)).toEqual(of('a'));
  expect(known(id).hash(a, b)).toEqual(of('ab'));
  expect(known(id).hash()).toEqual(of(''));
});

test.each([
  [1, true],
  [3, true],
  [4, true],
  [83, true],
  [85, false],
  [88, false],
  [0xf000, false],
])('signatures of suite %s can be verified: %s', (id, can) => {
  expect(canVerify(id)).toBe(can);
  const noise = { publicKey: Buffer.from('k'), content: Buffer.from('c'), signature: Buffer.from('s') };
  expect(verifySignatureNow('LeafNodeTBS', { ...noise, cipherSuite: id })).toBe(can ? 'invalid' : 'unknown');
});

describe('a public key fits its cipher suite', () => {
  test.each([
    [1, raw('x25519', 32)],
    [4, raw('x448', 56)],
    [2, createECDH('prime256v1').generateKeys()],
    [7, createECDH('secp384r1').generateKeys()],
    [5, createECDH('secp521r1').generateKeys()],
  ])('of suite %s', (id, key) => {
    const { isPublicKey } = known(id);
    expect(isPublicKey(key)).toBe(true);
    expect(isPublicKey(key.subarray(0, -1))).toBe(false);
    expect(isPublicKey(Buffer.concat([key, Buffer.alloc(1)]))).toBe(false);
    expect(isPublicKey(Buffer.alloc(key.length))).toBe(false);
    expect(isPublicKey(new Uint8Array())).toBe(false);
  });

  test.each([
    [77, 800],
    [79, 1184],
    [81, 1568],
    [83, 1216],
  ])('of suite %s by its length alone', (id, length) => {
    const { isPublicKey } = known(id);
    expect(isPublicKey(new Uint8Array(length))).toBe(true);
    expect(isPublicKey(new Uint8Array(length - 1))).toBe(false);
    expect(isPublicKey(new Uint8Array(length + 1))).toBe(false);
  });

  test.each([
    [2, p256],
    [7, p384],
    [5, p521],
  ] as const)('of suite %s not as a compressed point, and not off the curve', (id, curve) => {
    const { publicKey } = curve.keygen();
    expect(known(id).isPublicKey(publicKey)).toBe(false);
    const point = curve.Point.fromBytes(publicKey).toBytes(false);
    const off = Uint8Array.from(point);
    off[off.length - 1] = (off.at(-1) ?? 0) ^ 1;
    expect(known(id).isPublicKey(point)).toBe(true);
    expect(known(id).isPublicKey(off)).toBe(false);
  });

  test('of low order is none: the shared secret would be zero for everybody (RFC 7748 §6.1)', () => {
    for (const [id, bytes] of [
      [1, 32],
      [4, 56],
    ] as const) {
      for (const low of [0, 1]) {
        const key = new Uint8Array(bytes);
        key[0] = low;
        expect(known(id).isPublicKey(key)).toBe(false);
      }
    }
  });
});
