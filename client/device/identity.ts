import type { LeafOwner, MlsLibrary } from '../mls/mls-library.ts';
import { fromBase64, toBase64 } from '../platform/bytes.ts';
import type { DeviceStore } from '../storage/device-store.ts';

const KEY = 'identity';

/** The identity of a device. It is not part of any group state, so a device that loses a group state stays the same device. */
export interface DeviceIdentity extends LeafOwner {
  readonly device: string;
}

/**
 * Loads the identity from the store, or makes a new one. Its signature key never changes: with this key the device proves
 * that a leaf is its own when it rejoins a group.
 * @throws Error if the store belongs to another device
 */
export async function loadIdentity(
  store: DeviceStore,
  { user, device }: { readonly user: string; readonly device: string },
  mls: Pick<MlsLibrary, 'newSignatureKeyPair'>,
): Promise<DeviceIdentity> {
  const known = await store.get(KEY);
  if (known !== undefined) {
    const stored = JSON.parse(known) as { user: string; device: string; signKey: string; publicKey: string };
    if (stored.user !== user || stored.device !== device) throw new Error('this store belongs to another device');
    const signatureKeyPair = { signKey: fromBase64(stored.signKey), publicKey: fromBase64(stored.publicKey) };
    return { user, device, signatureKeyPair };
  }
  const signatureKeyPair = await mls.newSignatureKeyPair();
  const [signKey, publicKey] = [toBase64(signatureKeyPair.signKey), toBase64(signatureKeyPair.publicKey)];
  await store.write([[KEY, JSON.stringify({ user, device, signKey, publicKey })]]);
  return { user, device, signatureKeyPair };
}
