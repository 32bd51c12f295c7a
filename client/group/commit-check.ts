import type { LeafNode, ProposalWithSender, RatchetTree } from 'ts-mls';
import { leavesOf, userOfCredential } from '../mls/tree.ts';
import { toBase64 } from '../platform/bytes.ts';

/** A commit gave a leaf to another user or key. A device that processes it would send its messages to an impostor. */
export class IdentityChangedError extends Error {
  override readonly name = 'IdentityChangedError';
}

/** The parts of a commit that ts-mls shows while it processes the commit. */
export interface SeenCommit {
  /** Absent for an external commit. */
  readonly senderLeafIndex: number | undefined;
  readonly proposals: readonly ProposalWithSender[];
}

/**
 * Checks two rules that ts-mls does not check: every leaf that the commit does not remove keeps its user and its signature
 * key, and an external commit removes only a leaf of the user who joins (RFC 9420 §12.4.3.2).
 * @throws IdentityChangedError
 */
export function checkIdentities(before: RatchetTree, after: RatchetTree, commit: SeenCommit): void {
  const [oldLeaves, newLeaves] = [leavesOf(before), leavesOf(after)];
  const removed = new Set<number>();
  for (const { proposal } of commit.proposals) {
    if (proposal.proposalType === 'remove') removed.add(proposal.remove.removed);
  }
  for (const [index, leaf] of oldLeaves) {
    if (removed.has(index)) continue;
    const current = newLeaves.get(index);
    if (current === undefined || holderOf(current) !== holderOf(leaf)) {
      throw new IdentityChangedError(`the commit gives leaf ${index} to another user or key`);
    }
  }
  if (commit.senderLeafIndex !== undefined) return;
  const joined = [...newLeaves].filter(([index]) => removed.has(index) || !oldLeaves.has(index));
  const joiner = joined[0] === undefined ? undefined : userOfCredential(joined[0][1].credential);
  for (const index of removed) {
    const leaf = oldLeaves.get(index);
    if (joined.length === 1 && leaf !== undefined && userOfCredential(leaf.credential) === joiner) continue;
    throw new IdentityChangedError(`an external commit removed leaf ${index}, which is not the joiner's`);
  }
}

/** The user and the signature key of a leaf, in a form that can be compared. */
function holderOf({ credential, signaturePublicKey }: LeafNode): string {
  return JSON.stringify([userOfCredential(credential), toBase64(signaturePublicKey)]);
}
