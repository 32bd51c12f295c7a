import type { ProposalWithSender, RatchetTree } from 'ts-mls';
import { leavesOf, userOfCredential } from '../mls/tree.ts';
import { toBase64 } from '../platform/bytes.ts';

/** A commit made somebody out to be somebody else; whoever follows it would be talking to an impostor. */
export class IdentityChangedError extends Error {
  override readonly name = 'IdentityChangedError';
}

/** What ts-mls tells of a commit while it processes it. */
export interface SeenCommit {
  /** Absent for an external commit. */
  readonly senderLeafIndex: number | undefined;
  readonly proposals: readonly ProposalWithSender[];
}

/**
 * Checks that a commit leaves every device that it does not remove the user and key it had, and that an external commit
 * removes none but a device of who joins (RFC 9420 §12.4.3.2). ts-mls checks signatures, not this.
 * @throws IdentityChangedError
 */
export function checkIdentities(before: RatchetTree, after: RatchetTree, commit: SeenCommit): void {
  const [old, now] = [leavesOf(before), leavesOf(after)];
  const removed = new Set<number>();
  for (const { proposal } of commit.proposals) {
    if (proposal.proposalType === 'remove') removed.add(proposal.remove.removed);
  }
  for (const [index, leaf] of old) {
    if (removed.has(index)) continue;
    const current = now.get(index);
    if (current === undefined || holderOf(current) !== holderOf(leaf)) {
      throw new IdentityChangedError(`leaf ${index} is no longer the device that it was`);
    }
  }
  if (commit.senderLeafIndex !== undefined) return;
  const joined = [...now].filter(([index]) => removed.has(index) || !old.has(index));
  const joiner = joined[0] === undefined ? undefined : userOfCredential(joined[0][1].credential);
  for (const index of removed) {
    const leaf = old.get(index);
    if (joined.length === 1 && leaf !== undefined && userOfCredential(leaf.credential) === joiner) continue;
    throw new IdentityChangedError(`an external commit removed leaf ${index}, which is not the joiner's`);
  }
}

type Leaf = ReturnType<typeof leavesOf> extends ReadonlyMap<number, infer L> ? L : never;

function holderOf({ credential, signaturePublicKey }: Leaf): string {
  return JSON.stringify([userOfCredential(credential), toBase64(signaturePublicKey)]);
}
