import type { KeyPackage } from 'ts-mls';
import type { ParleyClient } from '../api/parley-client.ts';
import { hasCode } from '../api/problem.ts';
import type { MlsGroup } from '../group/group.ts';
import { CIPHER_SUITE } from '../mls/key-package.ts';
import { decodeMessage } from '../mls/messages.ts';
import { userOfCredential } from '../mls/tree.ts';
import type { AuthenticationService } from './authentication.ts';

export interface InviteContext {
  readonly api: Pick<ParleyClient, 'claimKeyPackages'>;
  readonly authentication: AuthenticationService;
  /** @default 1 */
  readonly cipherSuite?: number;
}

/** Result of an invitation. */
export interface Invitation {
  /** Users with at least one device in the group now. */
  readonly invited: readonly string[];
  /** Devices without a key package. They can join by external commit. */
  readonly exhausted: readonly { readonly user: string; readonly device: string }[];
}

/** The authentication service does not confirm the signature key in a claimed key package. */
export class UntrustedDeviceError extends Error {
  override readonly name = 'UntrustedDeviceError';
}

const MAX_ATTEMPTS = 5;

/**
 * Claims a key package of every device of the users for this group, verifies the owners, and adds the devices. Claims again
 * if a device replaced its key packages meanwhile.
 */
export async function invite(context: InviteContext, group: MlsGroup, users: readonly string[]): Promise<Invitation> {
  await group.receive();
  // A user that left must be removed before it is added again, because a tree holds each signature key only once.
  await group.commitPending();
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
  { api, authentication, cipherSuite = CIPHER_SUITE }: InviteContext,
  conversation: string,
  user: string,
): Promise<{ keyPackages: KeyPackage[]; exhausted: Invitation['exhausted'] }> {
  const claimed = await api.claimKeyPackages(user, { conversation, cipherSuite });
  const keyPackages: KeyPackage[] = [];
  for (const { device, keyPackage } of claimed.keyPackages) {
    const message = decodeMessage(keyPackage);
    if (message.wireformat !== 'mls_key_package') throw new Error('not a KeyPackage');
    const { credential, signaturePublicKey: signatureKey } = message.keyPackage.leafNode;
    const isVerified =
      userOfCredential(credential) === user && (await authentication.verify({ user, device, signatureKey }));
    if (!isVerified) throw new UntrustedDeviceError(`the key of device ${device} is not a known key of ${user}`);
    keyPackages.push(message.keyPackage);
  }
  return { keyPackages, exhausted: claimed.exhausted.map((device) => ({ user, device })) };
}
