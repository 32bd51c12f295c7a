import type { ClientState, ProposalWithSender, UnappliedProposals } from 'ts-mls';
import { toBase64 } from '../platform/bytes.ts';
import { leavesOf } from '../mls/tree.ts';

/**
 * Which proposals of others a device takes up. Whoever knows of a proposal has to commit it before it sends (RFC 9420
 * §12.4), and ts-mls commits all it knows of or none; so it takes up only what can be committed together: members'
 * Removes and Updates, one for each leaf. The first in the log counts, so all devices take up the same ones. Adds need
 * a key package that the committer claimed itself, and are not for others to commit.
 */
export function wouldCommit(state: ClientState, { proposal, senderLeafIndex }: ProposalWithSender): boolean {
  const leaf = affectedLeaf({ proposal, senderLeafIndex });
  const leaves = leavesOf(state.ratchetTree);
  const old = leaf === undefined ? undefined : leaves.get(leaf);
  if (old === undefined) return false;
  if (proposal.proposalType === 'update') {
    const { leafNode } = proposal.update;
    const isSameKey = toBase64(leafNode.signaturePublicKey) === toBase64(old.signaturePublicKey);
    if (!isSameKey || !sameCredential(leafNode.credential, old.credential)) return false;
  }
  return Object.values(state.unappliedProposals).every((other) => affectedLeaf(other) !== leaf);
}

/** The leaf that a Remove or an Update is about; `undefined` for any other proposal. */
export function affectedLeaf({ proposal, senderLeafIndex }: ProposalWithSender): number | undefined {
  if (proposal.proposalType === 'remove') return proposal.remove.removed;
  return proposal.proposalType === 'update' ? senderLeafIndex : undefined;
}

/**
 * Those that this device can commit itself, in a commit that removes the leaves of `alsoRemoved`: none about its own leaf
 * (RFC 9420 §12.2), and none about a leaf that the commit removes anyway, unless it is its Remove.
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

/** Leaves that asked for their own removal. */
export function leavingLeaves({ unappliedProposals }: ClientState): number[] {
  return Object.values(unappliedProposals).flatMap(({ proposal, senderLeafIndex }) =>
    proposal.proposalType === 'remove' && proposal.remove.removed === senderLeafIndex ? [senderLeafIndex] : [],
  );
}

function sameCredential(a: unknown, b: unknown): boolean {
  const plain = (value: unknown): string =>
    JSON.stringify(value, (_key, part: unknown) => (part instanceof Uint8Array ? toBase64(part) : part));
  return plain(a) === plain(b);
}
