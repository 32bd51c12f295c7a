import type { MissingUser } from '../api/types.ts';
import { hasCode } from '../api/problem.ts';
import type { MlsGroup } from '../group/group.ts';
import type { ClaimContext } from './claims.ts';
import { claimFor } from './claims.ts';

/** Result of an invitation. */
export interface Invitation {
  /** Users with at least one device in the group now. */
  readonly invited: readonly string[];
  /** Devices without a key package. They can join by external commit. */
  readonly exhausted: readonly { readonly user: string; readonly device: string }[];
  /** Users of whom no key package could be claimed, and why. Only with several users: what one alone does not give is an error. */
  readonly missing: readonly MissingUser[];
}

const MAX_ATTEMPTS = 5;

/**
 * Claims a key package of every device of the users for this group, verifies the owners, and adds the devices. Claims again
 * if a device replaced its key packages meanwhile.
 */
export async function invite(context: ClaimContext, group: MlsGroup, users: readonly string[]): Promise<Invitation> {
  await group.receive();
  // A user that left must be removed before it is added again, because a tree holds each signature key only once.
  await group.commitPending();
  for (let attempt = 1; ; attempt++) {
    const { keyPackages, exhausted, missing } = await claimFor(context, group.id, users);
    try {
      await group.add(keyPackages);
    } catch (error) {
      if (!hasCode(error, 'key-package-stale') || attempt >= MAX_ATTEMPTS) throw error;
      continue;
    }
    const present = new Set(group.members);
    return { invited: users.filter((user) => present.has(user)), exhausted, missing };
  }
}
