import { makeNobleSignatureImpl } from 'ts-mls/crypto/implementation/default/makeNobleSignatureImpl.js';
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { expect, test } from 'vitest';
import { importPublicKey } from '../../../mls/native-keys.ts';
import { suiteOf } from '../../../mls/suite.ts';
import { nativeVerify } from '../../../mls/native-verify.ts';

const message = Buffer.from('what is signed');

test.each(['Ed25519', 'P256', 'P384', 'P521', 'Ed448'] as const)(
  '%s: native verification gives the same result as ts-mls',
  async (algorithm) => {
    const scheme = await makeNobleSignatureImpl(algorithm);
    const { later: verify, now } = nativeVerify(algorithm) ?? expect.unreachable();
    for (let i = 0; i < 5; i++) {
      const { signKey, publicKey } = await scheme.keygen();
      const signature = await scheme.sign(signKey, message);
      expect(await verify(publicKey, message, signature)).toBe(true);
      expect(now(publicKey, message, signature)).toBe(true);
      expect(now(publicKey, Buffer.from('something else'), signature)).toBe(false);
      expect(await verify(publicKey, Buffer.from('something else'), signature)).toBe(false);
      const { publicKey: other } = await scheme.keygen();
      expect(await verify(other, message, signature)).toBe(false);
      const broken = Buffer.from(signature);
      broken.writeUInt8(broken.readUInt8(broken.length - 1) ^ 1, broken.length - 1);
      expect(await verify(publicKey, message, broken).catch(() => false)).toBe(false);
    }
  },
);

test.each([
  ['P256', p256],
  ['P384', p384],
  ['P521', p521],
] as const)('%s: a key may be an uncompressed point, as RFC 9420 §5.1.1 requires', async (algorithm, curve) => {
  const { secretKey, publicKey } = curve.keygen();
  const uncompressed = curve.Point.fromBytes(publicKey).toBytes(false);
  const signature = curve.sign(message, secretKey, { prehash: true, format: 'der', lowS: false });
  expect(await nativeVerify(algorithm)?.later(uncompressed, message, signature)).toBe(true);
});

test.each([
  ['P256', p256, 2],
  ['P384', p384, 7],
  ['P521', p521, 5],
] as const)('%s: a point off the curve, or in the hybrid form, is no key', (algorithm, curve, suite) => {
  const point = curve.Point.fromBytes(curve.keygen().publicKey).toBytes(false);
  expect(suiteOf(suite)?.isPublicKey(point)).toBe(true);
  const hybrid = Buffer.from(point);
  hybrid[0] = 6 + ((point.at(-1) ?? 0) & 1);
  const moved = Buffer.from(point);
  moved[moved.length - 1] = (moved.at(-1) ?? 0) ^ 1;
  for (const key of [hybrid, moved, Buffer.of(0)]) {
    expect(() => importPublicKey(algorithm, key)).toThrow();
    expect(suiteOf(suite)?.isPublicKey(key)).toBe(false);
  }
});

test.each(['P256', 'Ed448'] as const)('%s: a malformed key verifies nothing', async (algorithm) => {
  const { later: verify } = nativeVerify(algorithm) ?? expect.unreachable();
  for (const key of [Buffer.alloc(0), Buffer.alloc(33), Buffer.alloc(57, 0xff), Buffer.alloc(200, 4)]) {
    expect(await verify(key, message, Buffer.alloc(64)).catch(() => false)).toBe(false);
  }
});

test('there is no native code for ML-DSA', () => {
  expect(nativeVerify('ML-DSA-87')).toBeUndefined();
});
