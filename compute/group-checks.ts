import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { AppError } from '../domain/errors.ts';
import { MAX_LEAVES_PER_JOB } from '../domain/limits.ts';
import type { CommitBundleInput, CommitBundleResult } from '../mls/commit-bundle.ts';
import type { LeafBatch } from '../mls/leaf-signatures.ts';
import type { GroupInfoInput, SuppliedGroupInfo } from '../mls/supplied-group-info.ts';
import { uint32 } from '../mls/vector.ts';
import type { JobOwner, Jobs } from './jobs.ts';

/** Batches of leaves whose signatures are known to be valid: those of 40 groups of 10,000. */
const MAX_VERIFIED_BATCHES = 1600;

/**
 * Checks of groups as jobs. A tree of thousands of leaves is verified in several jobs, between which other users have their
 * turns. What was verified is remembered, so a request that ran out of time goes on where it ended when it is sent again.
 */
export interface GroupChecks {
  /** @throws AppError as `checkCommitBundle`, and as `Jobs.run` */
  readonly commitBundle: (
    owner: JobOwner,
    input: Omit<CommitBundleInput, 'maxLeafSignatures'>,
  ) => Promise<Omit<CommitBundleResult, 'leavesToVerify'>>;
  /** @throws AppError as `checkSuppliedGroupInfo`, and as `Jobs.run` */
  readonly groupInfo: (
    owner: JobOwner,
    input: Omit<GroupInfoInput, 'maxLeafSignatures'>,
  ) => Promise<Omit<SuppliedGroupInfo, 'leavesToVerify'>>;
}

export function makeGroupChecks(jobs: Jobs): GroupChecks {
  const verified = new LRUCache<string, true>({ max: MAX_VERIFIED_BATCHES });
  const verify = async (owner: JobOwner, batches: readonly LeafBatch[] = []): Promise<void> => {
    for (const batch of batches) {
      const name = nameOf(batch);
      if (verified.has(name)) continue;
      await jobs.run('leaf-signatures', owner, batch);
      verified.set(name, true);
    }
  };
  const maxLeafSignatures = MAX_LEAVES_PER_JOB;
  return {
    commitBundle: async (owner, input) => {
      const { leavesToVerify, ...result } = await jobs.run('commit-bundle', owner, { ...input, maxLeafSignatures });
      try {
        await verify(owner, leavesToVerify);
        return result;
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'group-info-mismatch') throw error;
        const { code, message: detail, details } = error;
        return { ...result, outcome: { refusal: { code, detail, details } } };
      }
    },
    groupInfo: async (owner, input) => {
      const { leavesToVerify, ...facts } = await jobs.run('group-info', owner, { ...input, maxLeafSignatures });
      await verify(owner, leavesToVerify);
      return facts;
    },
  };
}

/** Covers all that the result depends on. Lists of the same length have the same form. */
function nameOf({ cipherSuite, groupId, indexes, bytes }: LeafBatch): string {
  const header = [cipherSuite, groupId.length, indexes.length, ...indexes].map(uint32);
  return hash('sha256', Buffer.concat([...header, groupId, bytes]), 'base64');
}
