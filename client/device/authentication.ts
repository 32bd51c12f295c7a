import { toBase64 } from '../platform/bytes.ts';
import type { DeviceStore } from '../storage/device-store.ts';

/** A claim that a user holds a signature key. */
export interface KeyHolder {
  readonly user: string;
  readonly signatureKey: Uint8Array;
  /** Known for a claimed key package. A leaf names only the user. */
  readonly device?: string;
}

/**
 * The authentication service of RFC 9420 §5.3.1 and RFC 9750: says whether a signature key really belongs to a user. It must
 * not ask the delivery service, because it is the only protection against a dishonest delivery service.
 */
export interface AuthenticationService {
  /** Whether the user really holds the key. */
  readonly verify: (holder: KeyHolder) => Promise<boolean>;
}

/**
 * Trusts a key when it first appears, and remembers it: later the key must have the same user, and the device the same key.
 * An app should do more: show the key's fingerprint to its users, or ask a directory of keys. A device that lost its keys
 * needs a new device id.
 */
export function trustOnFirstUse(store: DeviceStore): AuthenticationService {
  const agrees = async (key: string, value: string): Promise<boolean> => {
    const known = await store.get(key);
    if (known === undefined) await store.write([[key, value]]);
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
