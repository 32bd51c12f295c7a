import type { ParleyClient } from '../api/parley-client.ts';
import type { ClaimedKeyPackage, MissingUser } from '../api/types.ts';
import type { KeyPackage, MlsLibrary } from '../mls/mls-library.ts';
import { fromBase64 } from '../platform/bytes.ts';
import type { AuthenticationService } from './authentication.ts';

export interface ClaimContext {
  readonly api: Pick<ParleyClient, 'claimKeyPackages' | 'claimGroupKeyPackages'>;
  readonly authentication: AuthenticationService;
  readonly mls: Pick<MlsLibrary, 'cipherSuite' | 'readKeyPackage'>;
}

/** Key packages of the devices of some users. */
export interface Claims {
  readonly keyPackages: readonly KeyPackage[];
  /** Devices without a key package. */
  readonly exhausted: readonly { readonly user: string; readonly device: string }[];
  /** Users of whom nothing was claimed, and why. */
  readonly missing: readonly MissingUser[];
}

/** The authentication service does not confirm the signature key in a claimed key package, or nobody asked for its user. */
export class UntrustedDeviceError extends Error {
  override readonly name = 'UntrustedDeviceError';
}

/** Users in one request. */
const MAX_USERS = 1000;

/**
 * Claims a key package of every device of the users for a conversation, and verifies whose they are. Of several users, those who give
 * nothing are `missing`.
 * @throws ProblemError `consent-required` or `rate-limited` if one user alone is asked for
 * @throws UntrustedDeviceError
 */
export async function claimFor(context: ClaimContext, conversation: string, users: readonly string[]): Promise<Claims> {
  const { api, mls } = context;
  const { cipherSuite } = mls;
  const wanted = new Set(users);
  const [only] = users;
  if (only !== undefined && users.length === 1) {
    const { keyPackages, exhausted } = await api.claimKeyPackages(only, { conversation, cipherSuite });
    return {
      keyPackages: await verifyAll(context, only, keyPackages),
      exhausted: exhausted.map((device) => ({ user: only, device })),
      missing: [],
    };
  }
  const found: KeyPackage[] = [];
  const exhausted: Claims['exhausted'][number][] = [];
  const missing: MissingUser[] = [];
  for (let waiting = [...wanted]; waiting.length > 0;) {
    const asked = waiting.slice(0, MAX_USERS);
    const answer = await api.claimGroupKeyPackages({ users: asked, conversation, cipherSuite });
    for (const [user, keyPackages] of Object.entries(answer.claimed)) {
      if (!wanted.has(user)) throw new UntrustedDeviceError(`nobody asked for key packages of ${user}`);
      found.push(...(await verifyAll(context, user, keyPackages)));
    }
    exhausted.push(...answer.exhausted);
    // The answer was full. Unless nobody had room in it, the next one has others.
    const isNext = ({ code }: MissingUser): boolean => code === 'left-over' && answer.missing.length < asked.length;
    missing.push(...answer.missing.filter((one) => !isNext(one)));
    waiting = [...answer.missing.filter(isNext).map(({ user }) => user), ...waiting.slice(MAX_USERS)];
  }
  return { keyPackages: found, exhausted, missing };
}

async function verifyAll(
  { authentication, mls }: ClaimContext,
  user: string,
  claimed: readonly ClaimedKeyPackage[],
): Promise<KeyPackage[]> {
  const keyPackages: KeyPackage[] = [];
  for (const { device, keyPackage } of claimed) {
    const read = await mls.readKeyPackage(keyPackage);
    const holder = { user, device, signatureKey: fromBase64(read.device) };
    const isVerified = read.user === user && (await authentication.verify(holder));
    if (!isVerified) throw new UntrustedDeviceError(`the key of device ${device} is not a known key of ${user}`);
    await authentication.remember?.([holder]);
    keyPackages.push(read);
  }
  return keyPackages;
}
