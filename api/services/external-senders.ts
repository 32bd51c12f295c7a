import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { externalSender, makeSenderKey } from '../../mls/external-sender.ts';
import { suiteOf } from '../../mls/suite.ts';
import { UnsealError, seal, unseal } from '../../process/sealed.ts';
import { SENDER_SCHEMES, type SenderKey, addSenderKey, readSenderKeys } from '../../store/off-boarding/sender-keys.ts';

/**
 * The ExternalSender that groups of a cipher suite should list (RFC 9420 §12.1.8.1). The first call for a signature scheme makes its key.
 * @throws AppError `not-found` if the service is no external sender, or knows no such cipher suite; `unavailable` if the stored key cannot be
 * opened
 */
export type ExternalSenderOf = (cipherSuite: number) => Promise<Buffer>;

/** @param secret what private keys are sealed with; `undefined` = the service is no external sender */
export function makeExternalSenders(pool: pg.Pool, secret: string | undefined): ExternalSenderOf {
  return async (cipherSuite) => {
    if (secret === undefined) {
      throw new AppError(
        'not-found',
        'This service is no external sender: its operator has not set EXTERNAL_SENDER_KEY',
      );
    }
    const scheme = SENDER_SCHEMES.find((name) => name === suiteOf(cipherSuite)?.signature);
    if (scheme === undefined) throw new AppError('not-found', `The service has no key for cipher suite ${cipherSuite}`);
    let key = await currentKey(pool, scheme);
    if (key === undefined) {
      const { publicKey, privateKey } = makeSenderKey(scheme);
      // Another process may be first.
      await addSenderKey(pool, { scheme, publicKey, sealed: seal(secret, publicKey, privateKey) });
      key = await currentKey(pool, scheme);
    }
    if (key === undefined) throw new AppError('unavailable', 'The key was replaced just now: ask again');
    refuseSealed(secret, key);
    return externalSender(key.publicKey);
  };
}

async function currentKey(pool: pg.Pool, scheme: SenderKey['scheme']): Promise<SenderKey | undefined> {
  return (await readSenderKeys(pool, scheme)).find(({ isCurrent }) => isCurrent);
}

/** A group must not list a key that the service cannot use. */
function refuseSealed(secret: string, { publicKey, sealed }: SenderKey): void {
  try {
    unseal(secret, publicKey, sealed).fill(0);
  } catch (error) {
    if (!(error instanceof UnsealError)) throw error;
    throw new AppError(
      'unavailable',
      'The stored key was sealed with another EXTERNAL_SENDER_KEY: set that one again, or rotate the key',
      {},
      { cause: error, retryAfterMs: null },
    );
  }
}
