import type { ClientState, ProposalWithSender, UnappliedProposals } from 'ts-mls';
import { toBase64 } from '../platform/bytes.ts';
import { leavesOf } from '../mls/tree.ts';

/**
 * Does a device accept this proposal of another member? A member that knows a proposal must commit it before it sends (RFC
 * 9420 §12.4), and ts-mls commits either all proposals that it knows or none. So a device accepts only proposals that fit
 * into one commit: Removes and Updates of members, one for each leaf. The first proposal in the log counts, so all devices
 * accept the same ones. A device accepts no Add: it needs a key package that the committer itself claimed.
 */
export function acceptsProposal(state: ClientState, { proposal, senderLeafIndex }: ProposalWithSender): boolean {
  const leaf = affectedLeaf({ proposal, senderLeafIndex });
  const leaves = leavesOf(state.ratchetTree);
  const old = leaf === undefined ? undefined : leaves.get(leaf);
  if (old === undefined) return false;
  if (proposal.proposalType === 'update') {
    const { leafNode } = proposal.update;
    const isSameKey = toBase64(leafNode.signaturePublicKey) === toBase64(old.signaturePublicKey);
    if (!isSameKey || !isSameCredential(leafNode.credential, old.credential)) return false;
  }
  return Object.values(state.unappliedProposals).every((other) => affectedLeaf(other) !== leaf);
}

/** The leaf that a Remove or an Update changes; `undefined` for any other proposal. */
export function affectedLeaf({ proposal, senderLeafIndex }: ProposalWithSender): number | undefined {
  if (proposal.proposalType === 'remove') return proposal.remove.removed;
  return proposal.proposalType === 'update' ? senderLeafIndex : undefined;
}

/**
 * The pending proposals that this device can put into its own commit (RFC 9420 §12.2): none that changes its own leaf, and
 * no Update of a leaf that the commit removes.
 * @param alsoRemoved leaves that the commit removes by its own proposals
 */
export function committable(state: ClientState, alsoRemoved: ReadonlySet<number> = new Set()): UnappliedProposals {
  const own = state.privatePath.leafIndex;
  const kept = Object.entries(state.unappliedProposals).filter(([, pending]) => {
    const leaf = affectedLeaf(pending);
    if (leaf === undefined || leaf === own) return false;
    return pending.proposal.proposalType === 'remove' || !alsoRemoved.has(leaf);
  });
  return Object.fromEntries(kept);
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

function isSameCredential(a: unknown, b: unknown): boolean {
  const plain = (value: unknown): string =>
    JSON.stringify(value, (_key, part: unknown) => (part instanceof Uint8Array ? toBase64(part) : part));
  return plain(a) === plain(b);
}
