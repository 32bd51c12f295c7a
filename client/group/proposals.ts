import type { ClientState, ProposalWithSender, UnappliedProposals } from 'ts-mls';
import { leafWithKey, leavesOf, userOfCredential } from '../mls/tree.ts';
import { toBase64 } from '../platform/bytes.ts';

/** Somebody outside the group who asks to join it (RFC 9420 §12.1.8). It waits for the end of the epoch. */
export interface JoinRequest {
  /** ProposalRef, base64 (RFC 9420 §5.2). */
  readonly ref: string;
  /** User id in the credential, which nobody has verified. */
  readonly user: string;
  readonly signatureKey: Uint8Array;
}

/** The requests among the pending proposals of a state. */
export function joinRequests({ unappliedProposals }: Pick<ClientState, 'unappliedProposals'>): JoinRequest[] {
  return Object.entries(unappliedProposals).flatMap(([ref, pending]) => {
    const { proposal } = pending;
    if (!isJoinRequest(pending) || proposal.proposalType !== 'add') return [];
    const { credential, signaturePublicKey: signatureKey } = proposal.add.keyPackage.leafNode;
    const user = userOfCredential(credential);
    return user === undefined ? [] : [{ ref, user, signatureKey }];
  });
}

/** An Add of a sender that is not a member. A commit of another member may contain it. */
export function isJoinRequest({ proposal, senderLeafIndex }: ProposalWithSender): boolean {
  return proposal.proposalType === 'add' && senderLeafIndex === undefined;
}

/** The leaf that a Remove or an Update changes; `undefined` for any other proposal. */
export function affectedLeaf({ proposal, senderLeafIndex }: ProposalWithSender): number | undefined {
  if (proposal.proposalType === 'remove') return proposal.remove.removed;
  return proposal.proposalType === 'update' ? senderLeafIndex : undefined;
}

/**
 * The pending proposals that this device can put into its own commit (RFC 9420 §12.2): Removes and Updates of leaves, the
 * first one in the log for each leaf, and Adds of new devices, the first one for each. None that changes the own leaf, and no
 * Update of a leaf that the commit removes. ts-mls commits all proposals of a state, so the others have to go.
 * @param alsoRemoved leaves that the commit removes by its own proposals
 */
export function committable(state: ClientState, alsoRemoved: ReadonlySet<number> = new Set()): UnappliedProposals {
  const own = state.privatePath.leafIndex;
  const leaves = new Set<number>();
  const added = new Set<string>();
  const kept = Object.entries(state.unappliedProposals).filter(([, pending]) => {
    const key = addedKey(pending);
    if (key !== undefined) {
      if (added.has(key) || !isNewDevice(state, pending)) return false;
      added.add(key);
      return true;
    }
    const leaf = affectedLeaf(pending);
    if (leaf === undefined || leaves.has(leaf) || !isSound(state, pending)) return false;
    leaves.add(leaf);
    return leaf !== own && (pending.proposal.proposalType === 'remove' || !alsoRemoved.has(leaf));
  });
  return Object.fromEntries(kept);
}

/** Base64 of the signature keys that pending proposals add. */
export function proposedKeys(pending: UnappliedProposals): Set<string> {
  return new Set(Object.values(pending).flatMap((one) => addedKey(one) ?? []));
}

/** Leaves that pending proposals remove. */
export function proposedRemovals(pending: UnappliedProposals): Set<number> {
  const leaves = new Set<number>();
  for (const { proposal } of Object.values(pending)) {
    if (proposal.proposalType === 'remove') leaves.add(proposal.remove.removed);
  }
  return leaves;
}

/** Leaves that proposed their own removal. */
export function selfRemovals({ unappliedProposals }: ClientState): number[] {
  return Object.values(unappliedProposals).flatMap(({ proposal, senderLeafIndex }) =>
    proposal.proposalType === 'remove' && proposal.remove.removed === senderLeafIndex ? [senderLeafIndex] : [],
  );
}

function addedKey({ proposal }: ProposalWithSender): string | undefined {
  if (proposal.proposalType !== 'add') return undefined;
  return toBase64(proposal.add.keyPackage.leafNode.signaturePublicKey);
}

/** The group can have the device of an Add, and does not have it yet. */
function isNewDevice({ groupContext, ratchetTree }: ClientState, { proposal }: ProposalWithSender): boolean {
  if (proposal.proposalType !== 'add') return false;
  const { cipherSuite, leafNode } = proposal.add.keyPackage;
  if (cipherSuite !== groupContext.cipherSuite || userOfCredential(leafNode.credential) === undefined) return false;
  return leafWithKey(ratchetTree, leafNode.signaturePublicKey) === undefined;
}

/** The leaf is there, and an Update leaves it to its owner. */
function isSound(state: ClientState, pending: ProposalWithSender): boolean {
  const leaf = affectedLeaf(pending);
  const old = leaf === undefined ? undefined : leavesOf(state.ratchetTree).get(leaf);
  if (old === undefined) return false;
  if (pending.proposal.proposalType !== 'update') return true;
  const { leafNode } = pending.proposal.update;
  const isSameKey = toBase64(leafNode.signaturePublicKey) === toBase64(old.signaturePublicKey);
  return isSameKey && isSameCredential(leafNode.credential, old.credential);
}

function isSameCredential(a: unknown, b: unknown): boolean {
  const plain = (value: unknown): string =>
    JSON.stringify(value, (_key, part: unknown) => (part instanceof Uint8Array ? toBase64(part) : part));
  return plain(a) === plain(b);
}
