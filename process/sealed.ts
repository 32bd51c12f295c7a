import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

/**
 * Small secrets that stand in the database encrypted: AES-256-GCM with a key that is not in the database. Layout: version, nonce,
 * tag, ciphertext.
 */

const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const ALGORITHM = 'aes-256-gcm';

/** The key is not the one that sealed the bytes, or the bytes were changed. */
export class UnsealError extends Error {
  override readonly name = 'UnsealError';
}

/** @param secret text of the configuration @param about what the bytes are for; the same must be said to open them */
export function seal(secret: string, about: Uint8Array, bytes: Uint8Array): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(ALGORITHM, keyOf(secret), nonce, { authTagLength: TAG_BYTES }).setAAD(about);
  const sealed = Buffer.concat([cipher.update(bytes), cipher.final()]);
  return Buffer.concat([Buffer.of(VERSION), nonce, cipher.getAuthTag(), sealed]);
}

/** Opens what {@link seal} made. @throws UnsealError */
export function unseal(secret: string, about: Uint8Array, sealed: Uint8Array): Buffer {
  const bytes = Buffer.from(sealed);
  const nonce = bytes.subarray(1, 1 + NONCE_BYTES);
  const tag = bytes.subarray(1 + NONCE_BYTES, 1 + NONCE_BYTES + TAG_BYTES);
  try {
    if (bytes[0] !== VERSION) throw new Error(`version ${bytes[0]} is not known`);
    const decipher = createDecipheriv(ALGORITHM, keyOf(secret), nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(about).setAuthTag(tag);
    return Buffer.concat([decipher.update(bytes.subarray(1 + NONCE_BYTES + TAG_BYTES)), decipher.final()]);
  } catch (error) {
    throw new UnsealError('The stored key cannot be opened with this secret', { cause: error });
  }
}

function keyOf(secret: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', 'parley external sender', 32));
}
