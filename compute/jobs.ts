import { type CommitBundleInput, type CommitBundleResult, checkCommitBundle } from '../mls/commit-bundle.ts';
import { type KeyPackageBatch, checkKeyPackages } from '../mls/key-package-batch.ts';
import type { CheckedKeyPackage, KeyPackageRules } from '../mls/key-package.ts';
import { type EpochFacts, type StoredGroup, readEpochFacts } from '../mls/stored-group.ts';
import { type GroupInfoInput, type SuppliedGroupInfo, checkSuppliedGroupInfo } from '../mls/supplied-group-info.ts';

/** Jobs: checks that may need more CPU time than a request may take from the event loop. Input and output are plain data. */
interface JobTypes {
  'key-packages': {
    readonly input: readonly [KeyPackageBatch, Omit<KeyPackageRules, 'lastResort'>];
    readonly output: CheckedKeyPackage[];
  };
  'commit-bundle': { readonly input: readonly [CommitBundleInput]; readonly output: CommitBundleResult };
  'group-info': { readonly input: readonly [GroupInfoInput]; readonly output: SuppliedGroupInfo };
  'epoch-facts': {
    readonly input: readonly [StoredGroup, maxTreeBytes: number];
    readonly output: EpochFacts | undefined;
  };
}

type JobName = keyof JobTypes;
type Run<N extends JobName> = (
  ...input: JobTypes[N]['input']
) => JobTypes[N]['output'] | Promise<JobTypes[N]['output']>;

const JOBS: { readonly [N in JobName]: Run<N> } = {
  'key-packages': checkKeyPackages,
  'commit-bundle': checkCommitBundle,
  'group-info': checkSuppliedGroupInfo,
  'epoch-facts': readEpochFacts,
};

/** Runs jobs. */
export interface Jobs {
  /** Runs a job for a user. @throws AppError from the job itself */
  readonly run: <N extends JobName>(
    name: N,
    user: string,
    ...input: JobTypes[N]['input']
  ) => Promise<JobTypes[N]['output']>;
}

/** Runs each job at once, in this thread. */
export const jobsInThisThread: Jobs = {
  run: async (name, _user, ...input) => JOBS[name](...input),
};
