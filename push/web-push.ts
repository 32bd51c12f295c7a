import { createECDH, createPrivateKey, type KeyObject } from 'node:crypto';
import ece from 'http_ece';
import { SignJWT } from 'jose';
import { LRUCache } from 'lru-cache';
import type { WebPushSettings } from '../process/push-settings.ts';

const CURVE = 'prime256v1';
/** Bytes of one record; a wake-up is far smaller. Push services take 4096 in all (RFC 8291 §4). */
const RECORD_BYTES = 4096;
/** RFC 8292 §2: at most 24 hours. */
const TOKEN_LIFETIME_S = 12 * 3600;
/** A token is used for this long. */
const TOKEN_USE_MS = 3_600_000;
const TOKENS = 2000;

/**
 * Encrypts a message for a subscription (RFC 8291: content coding `aes128gcm` of RFC 8188).
 * @param own test vectors only: key and salt that are otherwise random
 */
export function encryptForSubscription(
  message: string,
  keys: { readonly p256dh: string; readonly auth: string },
  own: { readonly key?: ReturnType<typeof createECDH>; readonly salt?: string } = {},
): Buffer {
  let { key } = own;
  if (key === undefined) {
    key = createECDH(CURVE);
    key.generateKeys();
  }
  return ece.encrypt(Buffer.from(message), {
    version: 'aes128gcm',
    rs: RECORD_BYTES,
    dh: keys.p256dh,
    authSecret: keys.auth,
    privateKey: key,
    ...(own.salt === undefined ? {} : { salt: own.salt }),
  });
}

/**
 * Makes the value of `Authorization` for a push service (VAPID, RFC 8292). A token holds for an hour of requests to one service.
 * @returns a function of the URL of the subscription
 */
export function makeVapid({ privateKey, publicKey, subject }: WebPushSettings): (endpoint: string) => Promise<string> {
  const key = signingKey(privateKey, publicKey);
  const tokens = new LRUCache<string, Promise<string>>({ max: TOKENS, ttl: TOKEN_USE_MS });
  const sign = async (audience: string): Promise<string> => {
    const token = await new SignJWT({ aud: audience, sub: subject })
      .setProtectedHeader({ typ: 'JWT', alg: 'ES256' })
      .setExpirationTime(`${TOKEN_LIFETIME_S}s`)
      .sign(key);
    return `vapid t=${token}, k=${publicKey}`;
  };
  return (endpoint) => {
    const audience = new URL(endpoint).origin;
    let token = tokens.get(audience);
    if (token === undefined) tokens.set(audience, (token = sign(audience)));
    return token;
  };
}

function signingKey(privateKey: string, publicKey: string): KeyObject {
  const point = Buffer.from(publicKey, 'base64url');
  const [x, y] = [point.subarray(1, 33).toString('base64url'), point.subarray(33).toString('base64url')];
  return createPrivateKey({ key: { kty: 'EC', crv: 'P-256', d: privateKey, x, y }, format: 'jwk' });
}
