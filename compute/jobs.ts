import { type KeyPackageBatch, checkKeyPackages } from '../mls/key-package-batch.ts';
import type { CheckedKeyPackage, KeyPackageRules } from '../mls/key-package.ts';

/** Jobs: checks that may need more CPU time than a request may take from the event loop. Input and output are plain data. */
interface JobTypes {
  'key-packages': {
    readonly input: readonly [KeyPackageBatch, Omit<KeyPackageRules, 'lastResort'>];
    readonly output: CheckedKeyPackage[];
  };
}

type JobName = keyof JobTypes;
type Run<N extends JobName> = (...input: JobTypes[N]['input']) => Promise<JobTypes[N]['output']>;

const JOBS: { readonly [N in JobName]: Run<N> } = {
  'key-packages': checkKeyPackages,
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
  run: (name, _user, ...input) => JOBS[name](...input),
};
