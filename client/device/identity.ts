import type { CiphersuiteImpl } from 'ts-mls';
import { fromBase64, toBase64 } from '../platform/bytes.ts';
import type { DeviceStore } from '../storage/device-store.ts';

const KEY = 'identity';

/** Who a device is: outside all group states, so that it is still the same device when it has lost one. */
export interface DeviceIdentity {
  readonly user: string;
  readonly device: string;
  readonly signatureKeyPair: { readonly signKey: Uint8Array; readonly publicKey: Uint8Array };
}

/**
 * The identity in the store, or a new one. Its signature key never changes: with it the device proves which leaf of a
 * group is its own when it rejoins.
 * @throws Error if the store belongs to another device
 */
export async function loadIdentity(
  store: DeviceStore,
  { user, device }: { readonly user: string; readonly device: string },
  suite: CiphersuiteImpl,
): Promise<DeviceIdentity> {
  const known = await store.get(KEY);
  if (known !== undefined) {
    const stored = JSON.parse(known) as { user: string; device: string; signKey: string; publicKey: string };
    if (stored.user !== user || stored.device !== device) throw new Error('this store belongs to another device');
    const signatureKeyPair = { signKey: fromBase64(stored.signKey), publicKey: fromBase64(stored.publicKey) };
    return { user, device, signatureKeyPair };
  }
  const signatureKeyPair = await suite.signature.keygen();
  const [signKey, publicKey] = [toBase64(signatureKeyPair.signKey), toBase64(signatureKeyPair.publicKey)];
  await store.set(KEY, JSON.stringify({ user, device, signKey, publicKey }));
  return { user, device, signatureKeyPair };
}
