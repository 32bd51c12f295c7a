import type { ClientConfig } from 'ts-mls';
import {
  defaultKeyPackageEqualityConfig,
  defaultKeyRetentionConfig,
  defaultLifetimeConfig,
  defaultPaddingConfig,
} from 'ts-mls';
import { toBase64 } from '../platform/bytes.ts';
import { userOfCredential } from '../mls/tree.ts';
import type { DeviceStore } from '../storage/device-store.ts';

/** Who is said to hold a signature key. */
export interface Holder {
  readonly user: string;
  readonly signatureKey: Uint8Array;
  /** Known where a key package was claimed; a leaf says only whose it is. */
  readonly device?: string;
}

/**
 * The authentication service of RFC 9420 §5.3.1 and RFC 9750: says whether a signature key is really that of a user. The
 * delivery service is not asked: against a dishonest one this is all the protection there is.
 */
export interface AuthenticationService {
  readonly verify: (holder: Holder) => Promise<boolean>;
}

/**
 * Trusts whoever shows up first: a key stays with its user and a device with its key. An app shows people a fingerprint,
 * or asks a directory of keys. A device that lost its keys comes back under another device id.
 */
export function trustOnFirstUse(store: DeviceStore): AuthenticationService {
  const agrees = async (key: string, value: string): Promise<boolean> => {
    const known = await store.get(key);
    if (known === undefined) await store.set(key, value);
    return known === undefined || known === value;
  };
  return {
    verify: async ({ user, device, signatureKey }) => {
      const key = toBase64(signatureKey);
      if (!(await agrees(`trust/key/${key}`, user))) return false;
      return device === undefined || agrees(`trust/device/${JSON.stringify([user, device])}`, key);
    },
  };
}

/** How ts-mls asks the service about every leaf that it meets. */
export function clientConfig(authentication: AuthenticationService): ClientConfig {
  return {
    keyRetentionConfig: defaultKeyRetentionConfig,
    lifetimeConfig: defaultLifetimeConfig,
    keyPackageEqualityConfig: defaultKeyPackageEqualityConfig,
    paddingConfig: defaultPaddingConfig,
    authService: {
      validateCredential: async (credential, signatureKey) => {
        const user = userOfCredential(credential);
        return user !== undefined && authentication.verify({ user, signatureKey });
      },
    },
  };
}
