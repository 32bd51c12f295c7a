import { hash } from 'node:crypto';
import { type CreationContent, fingerprintOf } from './creation-fingerprint.ts';
import { type CommitBundleInput, type CommitBundleResult, checkCommitBundle } from '../mls/commit-bundle.ts';
import { type CheckedJoinRequest, checkJoinRequest } from '../mls/join-request.ts';
import { type KeyPackageBatch, checkKeyPackages } from '../mls/key-package-batch.ts';
import type { CheckedKeyPackage, KeyPackageRules } from '../mls/key-package.ts';
import { type LeafBatch, checkLeafBatch } from '../mls/leaf-signatures.ts';
import { type JsonBody, readJson } from './json.ts';
import { type EpochFacts, type StoredGroup, readEpochFacts } from '../mls/stored-group.ts';
import { type Label, type Signed, type Verdict, verifySignature } from '../mls/signature.ts';
import { type GroupInfoInput, type SuppliedGroupInfo, checkSuppliedGroupInfo } from '../mls/supplied-group-info.ts';

/**
 * Jobs: work whose CPU time grows with what a client sends. A job is a pure function. Its input and output are plain
 * data: numbers, strings, arrays, objects, dates and Buffers. It refuses with an AppError. To add a job, add its types
 * and its function here, and measure it (`npm run cost:jobs`).
 */
interface JobTypes {
  json: {
    readonly input: readonly [bytes: Buffer];
    readonly output: JsonBody;
  };
  'key-packages': {
    readonly input: readonly [KeyPackageBatch, Omit<KeyPackageRules, 'lastResort'>];
    readonly output: CheckedKeyPackage[];
  };
  'join-request': {
    readonly input: readonly [proposal: Buffer, Omit<KeyPackageRules, 'lastResort'>];
    readonly output: CheckedJoinRequest;
  };
  'commit-bundle': { readonly input: readonly [CommitBundleInput]; readonly output: CommitBundleResult };
  'group-info': { readonly input: readonly [GroupInfoInput]; readonly output: SuppliedGroupInfo };
  'leaf-signatures': { readonly input: readonly [LeafBatch]; readonly output: undefined };
  /** Verifies a signature over some parts, one after the other. */
  signature: {
    readonly input: readonly [Label, Omit<Signed, 'content'>, parts: readonly Uint8Array[]];
    readonly output: Verdict;
  };
  fingerprint: { readonly input: readonly [CreationContent]; readonly output: Buffer };
  sha256: { readonly input: readonly [bytes: Uint8Array]; readonly output: Buffer };
  'epoch-facts': {
    readonly input: readonly [StoredGroup, maxTreeBytes: number];
    readonly output: EpochFacts | undefined;
  };
}

export type JobName = keyof JobTypes;
export type JobInput<N extends JobName> = JobTypes[N]['input'];
export type JobOutput<N extends JobName> = JobTypes[N]['output'];
type Run<N extends JobName> = (...input: JobInput<N>) => JobOutput<N> | Promise<JobOutput<N>>;

export const JOBS: { readonly [N in JobName]: Run<N> } = {
  json: readJson,
  'key-packages': checkKeyPackages,
  'join-request': checkJoinRequest,
  'commit-bundle': checkCommitBundle,
  'group-info': checkSuppliedGroupInfo,
  'leaf-signatures': checkLeafBatch,
  signature: (label, signed, parts) => verifySignature(label, { ...signed, content: Buffer.concat(parts) }),
  fingerprint: fingerprintOf,
  sha256: (bytes) => hash('sha256', bytes, 'buffer'),
  'epoch-facts': readEpochFacts,
};

/**
 * Input up to this size runs at once, in the thread of the event loop: a few milliseconds of CPU time at most, measured
 * with `npm run cost:jobs`. Sizes are in bytes. Jobs that are not listed have {@link DEFAULT_INLINE_BYTES}.
 */
const INLINE_BYTES: Readonly<Partial<Record<JobName, number>>> = {
  // 2 ms for each MB, and more for the collection of its garbage from some MB on.
  json: 256 * 1024,
  // 0.5 to 1 ms for each package of 350 bytes; 3 ms with P-521, from 680 bytes on.
  'key-packages': 1024,
  'join-request': 1024,
  // 0.1 ms for each leaf of 170 bytes with Ed25519. With P-384 and P-521 1 to 2 ms for each of 200 to 400 bytes. The input
  // includes the stored group, so the size of the request alone does not count.
  'group-info': 1024,
  'commit-bundle': 1024,
  'leaf-signatures': 1024,
  // 1 ms for each MB and less; 3 ms for the text of a GroupInfo of 1 MB.
  sha256: 1024 * 1024,
  fingerprint: 512 * 1024,
};
const DEFAULT_INLINE_BYTES = 16 * 1024;

/**
 * Jobs whose bytes move between threads without a copy, in both directions: their callers and functions give them away.
 * All others keep theirs.
 */
export const MOVES_BYTES: ReadonlySet<JobName> = new Set<JobName>(['json']);

/** Whether an input is small enough for the event loop. @param bytes size of the input */
export function runsInline(name: JobName, bytes: number): boolean {
  return bytes <= (INLINE_BYTES[name] ?? DEFAULT_INLINE_BYTES);
}

/** For whom a job runs. */
export interface JobOwner {
  readonly user: string;
  /** Milliseconds since 1970. A job that did not start before this time never starts. */
  readonly deadline: number;
}

/** Runs jobs. */
export interface Jobs {
  /**
   * Runs a job for a user.
   * @param owner the user alone: the job may wait as long as a request may take
   * @throws AppError from the job itself; `overloaded` if the user has too many jobs waiting, `deadline` if it did not
   * start or end in time, `unavailable` if its thread died. These three may be tried again.
   */
  readonly run: <N extends JobName>(name: N, owner: string | JobOwner, ...input: JobInput<N>) => Promise<JobOutput<N>>;
}

/** Runs each job at once, in this thread. */
export const jobsInThisThread: Jobs = {
  run: async (name, _owner, ...input) => JOBS[name](...input),
};
