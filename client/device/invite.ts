import type { KeyPackage } from 'ts-mls';
import type { AuthenticationService } from './authentication.ts';
import type { ParleyClient } from '../api/parley-client.ts';
import type { MlsGroup } from '../group/group.ts';
import { CIPHER_SUITE, unwire, userOfCredential } from '../mls/tree.ts';
import { hasCode } from '../api/problem.ts';

export interface InviteContext {
  readonly api: Pick<ParleyClient, 'claimKeyPackages'>;
  readonly authentication: AuthenticationService;
}

/** What became of an invitation. */
export interface Invitation {
  /** Users of whom at least one device is in the group now. */
  readonly invited: readonly string[];
  /** Devices that have no key package left; they can join by external commit. */
  readonly exhausted: readonly { readonly user: string; readonly device: string }[];
}

/** The keys of a device are not those that the authentication service knows. */
export class UntrustedDeviceError extends Error {
  override readonly name = 'UntrustedDeviceError';
}

const MAX_ATTEMPTS = 5;

/**
 * Claims a key package of every device of the users for this group, checks whose they are, and adds them. Claims anew when
 * a device replaced its packages meanwhile.
 */
export async function invite(context: InviteContext, group: MlsGroup, users: readonly string[]): Promise<Invitation> {
  await group.receive();
  // Who leaves has to be out before it can come back: its device's key is in the tree only once.
  await group.settle();
  for (let attempt = 1; ; attempt++) {
    const claims = await Promise.all(users.map((user) => claim(context, group.id, user)));
    try {
      await group.add(claims.flatMap(({ keyPackages }) => keyPackages));
    } catch (error) {
      if (!hasCode(error, 'key-package-stale') || attempt >= MAX_ATTEMPTS) throw error;
      continue;
    }
    const present = new Set(group.members);
    const invited = users.filter((user) => present.has(user));
    return { invited, exhausted: claims.flatMap(({ exhausted }) => exhausted) };
  }
}

async function claim(
  { api, authentication }: InviteContext,
  conversation: string,
  user: string,
): Promise<{ keyPackages: KeyPackage[]; exhausted: Invitation['exhausted'] }> {
  const claimed = await api.claimKeyPackages(user, { conversation, cipherSuite: CIPHER_SUITE });
  const keyPackages: KeyPackage[] = [];
  for (const { device, keyPackage } of claimed.keyPackages) {
    const message = unwire(keyPackage);
    if (message.wireformat !== 'mls_key_package') throw new Error('not a KeyPackage');
    const { credential, signaturePublicKey: signatureKey } = message.keyPackage.leafNode;
    const isTheirs =
      userOfCredential(credential) === user && (await authentication.verify({ user, device, signatureKey }));
    if (!isTheirs) throw new UntrustedDeviceError(`device ${device} of ${user} is not the one that it was`);
    keyPackages.push(message.keyPackage);
  }
  return { keyPackages, exhausted: claimed.exhausted.map((device) => ({ user, device })) };
}
