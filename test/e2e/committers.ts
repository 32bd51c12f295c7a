import type { CommitBundle, ParleyClient } from '../../client/index.ts';
import { epochConflict, hasCode, newId, ProblemError } from '../../client/index.ts';
import { randomCiphertext } from '../../tools/harness/opaque.ts';
import { spend } from '../../tools/harness/wait-until.ts';

/** The outcomes of the commits of one closed loop. */
export interface Tally {
  accepted: number;
  conflicts: number;
  /** True if the committer was removed. */
  isRemoved: boolean;
  /** Errors other than lost commits. */
  readonly unexpected: unknown[];
}

/** A user who commits in an opaque conversation and states the epochs, like an MLS client without cryptography. */
export interface Committer {
  readonly client: ParleyClient;
  readonly conversation: string;
  /** Milliseconds that the committer needs to build a commit after it knows the epoch. @default 0 */
  readonly buildMs?: number;
}

/** Commits again and again, each time for the latest epoch that it knows, until `isOver` or until it is removed. */
export async function commitInLoop({ client, conversation }: Committer, isOver: () => boolean): Promise<Tally> {
  const tally: Tally = { accepted: 0, conflicts: 0, isRemoved: false, unexpected: [] };
  let epoch = 0;
  while (!isOver() && !tally.isRemoved) {
    try {
      ({ epoch } = await client.commit(conversation, newBundle(epoch)));
      tally.accepted++;
    } catch (error) {
      const conflict = epochConflict(error);
      if (conflict !== undefined) {
        epoch = conflict.currentEpoch;
        tally.conflicts++;
      } else if (hasCode(error, 'removed')) tally.isRemoved = true;
      // A busy service may say that it cannot now.
      else if (!hasCode(error, 'rate-limited') && !isPassing(error)) tally.unexpected.push(error);
    }
  }
  return tally;
}

function isPassing(error: unknown): boolean {
  return error instanceof ProblemError && error.status === 503 && error.isRetryable;
}

/**
 * Commits one change and builds it anew after each lost race, as a client must.
 * @returns how many races it lost before it won
 * @throws Error if it loses more than `mostLosses` races
 */
export async function commitUntilWon(
  { client, conversation, buildMs = 0 }: Committer,
  change: Pick<CommitBundle, 'adds' | 'removes'>,
  mostLosses: number,
): Promise<number> {
  let epoch = await client.epoch(conversation);
  for (let losses = 0; losses <= mostLosses; losses++) {
    await spend(buildMs);
    try {
      await client.commit(conversation, { ...newBundle(epoch), ...change });
      return losses;
    } catch (error) {
      const conflict = epochConflict(error);
      if (conflict === undefined) throw error;
      epoch = conflict.currentEpoch;
    }
  }
  throw new Error(`It lost more than ${mostLosses} races`);
}

/** A commit for an epoch, with new random bytes. */
export function newBundle(epoch: number): CommitBundle & { readonly epoch: number } {
  return { id: newId(), epoch, commit: randomCiphertext() };
}
