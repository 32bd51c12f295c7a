import { toBase64 } from '../platform/bytes.ts';
import type { DeviceStore, StoreChange } from '../storage/device-store.ts';

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
  /**
   * Whether the user really holds the key. It is asked before any signature is verified, so nothing follows from the question:
   * anybody can name the key of somebody else.
   */
  readonly verify: (holder: KeyHolder) => Promise<boolean>;
  /** Called with holders that `verify` confirmed, when each has signed with its key: in a group, or in a claimed key package. */
  readonly remember?: (holders: readonly KeyHolder[]) => Promise<void>;
}

/**
 * Trusts a key when it first appears with a signature by it, and remembers it: later the key must have the same user, and the device the same key.
 * An app should do more: show the key's fingerprint to its users, or ask a directory of keys. A device that lost its keys
 * needs a new device id.
 */
export function trustOnFirstUse(store: DeviceStore): AuthenticationService {
  const isFree = async ([key]: readonly [string, string]): Promise<boolean> => (await store.get(key)) === undefined;
  return {
    verify: async (holder) => {
      for (const [key, value] of trustIn(holder)) if (((await store.get(key)) ?? value) !== value) return false;
      return true;
    },
    remember: async (holders) => {
      const changes: StoreChange[] = [];
      for (const one of holders.flatMap(trustIn)) if (await isFree(one)) changes.push(one);
      if (changes.length > 0) await store.write(changes);
    },
  };
}

/** What the store has of a key that is trusted. */
function trustIn({ user, device, signatureKey }: KeyHolder): (readonly [key: string, value: string])[] {
  const key = toBase64(signatureKey);
  const ofDevice = [`trust/device/${JSON.stringify([user, device])}`, key] as const;
  return [[`trust/key/${key}`, user], ...(device === undefined ? [] : [ofDevice])];
}
