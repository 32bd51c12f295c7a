import { leafWithKey } from '../mls/leaves.ts';
import type { GroupView, PendingProposal } from '../mls/mls-library.ts';
import { fromBase64 } from '../platform/bytes.ts';

/** Somebody outside the group who asks to join it (RFC 9420 §12.1.8). It waits for the end of the epoch. */
export interface JoinRequest {
  /** ProposalRef, base64 (RFC 9420 §5.2). */
  readonly ref: string;
  /** User id in the credential, which nobody has verified. */
  readonly user: string;
  readonly signatureKey: Uint8Array;
}

/** The requests among the pending proposals of a state. */
export function joinRequests({ proposals }: Pick<GroupView, 'proposals'>): JoinRequest[] {
  return [...proposals].flatMap(([ref, pending]) => {
    if (pending.kind !== 'add' || !isJoinRequest(pending) || pending.user === undefined) return [];
    return [{ ref, user: pending.user, signatureKey: fromBase64(pending.device) }];
  });
}

/** An Add of a sender that is not a member. A commit of another member may contain it. */
export function isJoinRequest({ kind, sender }: PendingProposal): boolean {
  return kind === 'add' && sender === undefined;
}

/**
 * The pending proposals that this device can put into its own commit (RFC 9420 §12.2): Removes and Updates of leaves, the
 * first one in the log for each leaf, and Adds of new devices, the first one for each. None that changes the own leaf, and no
 * Update of a leaf that the commit removes.
 * @param alsoRemoved leaves that the commit removes by its own proposals
 */
export function committable(
  view: GroupView,
  alsoRemoved: ReadonlySet<number> = new Set(),
): ReadonlyMap<string, PendingProposal> {
  const leaves = new Set<number>();
  const added = new Set<string>();
  const kept = [...view.proposals].filter(([, pending]) => {
    if (pending.kind === 'other') return false;
    if (pending.kind === 'add') {
      if (added.has(pending.device) || !isNewDevice(view, pending)) return false;
      added.add(pending.device);
      return true;
    }
    const { kind, leaf } = pending;
    const isSound = view.leaves.has(leaf) && (kind === 'remove' || pending.keepsOwner);
    if (leaves.has(leaf) || !isSound) return false;
    leaves.add(leaf);
    return leaf !== view.ownLeaf && (kind === 'remove' || !alsoRemoved.has(leaf));
  });
  return new Map(kept);
}

/** Leaves that proposed their own removal. */
export function selfRemovals({ proposals }: Pick<GroupView, 'proposals'>): number[] {
  return [...proposals.values()].flatMap((pending) =>
    pending.kind === 'remove' && pending.leaf === pending.sender ? [pending.leaf] : [],
  );
}

/** The group can have the device of an Add, and does not have it yet. */
function isNewDevice(
  view: GroupView,
  { isOfSuite, user, device }: PendingProposal & { readonly kind: 'add' },
): boolean {
  return isOfSuite && user !== undefined && leafWithKey(view, device) === undefined;
}
