import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { fromBase64, fromBase64Url, sha256Hex, toBase64, toBase64Url } from '../../../client/platform/bytes.ts';
import { sleep } from '../../../client/platform/sleep.ts';

describe('bytes with web globals are those that Node makes', () => {
  test('base64, base64url and SHA-256 of any bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        const buffer = Buffer.from(bytes);
        expect(toBase64(bytes)).toBe(buffer.toString('base64'));
        expect(toBase64Url(bytes)).toBe(buffer.toString('base64url'));
        expect(fromBase64(toBase64(bytes))).toEqual(bytes);
        expect(fromBase64Url(toBase64Url(bytes))).toEqual(bytes);
        expect(await sha256Hex(bytes)).toBe(createHash('sha256').update(bytes).digest('hex'));
      }),
    );
  });

  test('base64 of a megabyte, and of a part of a larger buffer', () => {
    const bytes = Uint8Array.from({ length: 2 ** 20 + 1 }, (_, i) => (i * 31) % 256).subarray(1);
    expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'));
    expect(Buffer.from(fromBase64(toBase64(bytes))).equals(bytes)).toBe(true);
  });

  test('refuses text that is not base64', () => {
    expect(() => fromBase64('not base64!')).toThrow();
  });
});

describe('sleep', () => {
  test('ends early with the reason of its signal, also of one that aborted before', async () => {
    const reason = new Error('stop');
    const stop = new AbortController();
    const waiting = sleep(60_000, stop.signal);
    stop.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(sleep(60_000, stop.signal)).rejects.toBe(reason);
  });
});
