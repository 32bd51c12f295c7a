import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { type CreationContent, fingerprintOf } from '../../../compute/creation-fingerprint.ts';
import { makeGroupChecks } from '../../../compute/group-checks.ts';
import {
  type JobInput,
  type JobName,
  type JobOwner,
  JOBS,
  type Jobs,
  jobsInThisThread,
  runsInline,
} from '../../../compute/jobs.ts';
import { sizeOf } from '../../../compute/wire.ts';
import { AppError } from '../../../domain/errors.ts';
import { BODY_LIMIT_COMMITS, MAX_LEAVES_PER_JOB } from '../../../domain/limits.ts';
import { type SyntheticGroup, syntheticGroup } from '../../../tools/harness/synthetic-group.ts';

const OWNER: JobOwner = { user: 'user-0', deadline: Number.MAX_SAFE_INTEGER };
const LEAVES = 2 * MAX_LEAVES_PER_JOB + 100;

function inputOf({ groupId, groupInfo, user }: SyntheticGroup): JobInput<'group-info'>[0] {
  return { groupId, groupInfo, user, isNewGroup: false, maxTreeBytes: BODY_LIMIT_COMMITS };
}

/** A private commit of the group that ends epoch 0 (RFC 9420 §6.3), with the GroupInfo of epoch 1. */
function bundleOf({ groupId, groupInfo, user }: SyntheticGroup): JobInput<'commit-bundle'>[0] {
  const parts = [Buffer.of(0, 1, 0, 2, groupId.length), groupId, Buffer.alloc(8), Buffer.of(3, 0, 1, 7, 1, 7)];
  return { groupId, user, commit: Buffer.concat(parts), groupInfo, currentEpoch: 0, maxTreeBytes: BODY_LIMIT_COMMITS };
}

/** Jobs in this thread, with the number of signatures that each verifies at most. */
function countingJobs(before: (name: JobName) => void = () => undefined): {
  jobs: Jobs;
  batches: number[];
  owners: unknown[];
} {
  const batches: number[] = [];
  const owners: unknown[] = [];
  const jobs: Jobs = {
    run: (name, owner, ...input) => {
      before(name);
      owners.push(owner);
      const [first] = input as readonly unknown[];
      if (name === 'leaf-signatures') batches.push((first as JobInput<'leaf-signatures'>[0]).indexes.length);
      return jobsInThisThread.run(name, owner, ...input);
    },
  };
  return { jobs, batches, owners };
}

const lastLeafWrong = (leaves: Buffer[]): void => {
  const last = leaves.at(-1) ?? expect.unreachable();
  last[last.length - 1] = (last.at(-1) ?? 0) ^ 1;
};

test('a large tree is verified in several jobs, all for the same owner', async () => {
  const { jobs, batches, owners } = countingJobs();
  const group = syntheticGroup(LEAVES);
  const facts = await makeGroupChecks(jobs).groupInfo(OWNER, inputOf(group));
  expect(batches).toEqual([MAX_LEAVES_PER_JOB, 100]);
  expect(facts).toEqual(JOBS['group-info'](inputOf(group)));
  expect(new Set(owners)).toEqual(new Set([OWNER]));
});

test('a wrong signature in a later job refuses the GroupInfo, and the bundle', async () => {
  const group = syntheticGroup(LEAVES, lastLeafWrong);
  const checks = makeGroupChecks(jobsInThisThread);
  const detail = `The signature of leaf ${LEAVES - 1} is not valid`;
  await expect(checks.groupInfo(OWNER, inputOf(group))).rejects.toThrow(detail);
  expect(await checks.commitBundle(OWNER, bundleOf(group))).toMatchObject({
    framing: { epoch: 0 },
    outcome: { refusal: { code: 'group-info-mismatch', detail } },
  });
  const good = bundleOf(syntheticGroup(LEAVES));
  expect(await checks.commitBundle(OWNER, good)).toEqual(JOBS['commit-bundle'](good));
});

test('a check that ran out of time goes on where it ended when it comes again', async () => {
  let isLate = true;
  const { jobs, batches } = countingJobs((name) => {
    if (name === 'leaf-signatures' && isLate && batches.length === 1) throw new AppError('deadline');
  });
  const checks = makeGroupChecks(jobs);
  const input = inputOf(syntheticGroup(LEAVES));
  await expect(checks.groupInfo(OWNER, input)).rejects.toMatchObject({ code: 'deadline' });
  isLate = false;
  await checks.groupInfo(OWNER, input);
  // The first batch is not verified twice.
  expect(batches).toEqual([MAX_LEAVES_PER_JOB, 100]);
  // The same leaves in another group are.
  const bundle = { ...input, groupId: randomBytes(16) };
  await expect(checks.groupInfo(OWNER, bundle)).rejects.toMatchObject({ code: 'wrong-group' });
});

test('what runs in the event loop verifies a handful of signatures at most', () => {
  // Leaves of the smallest keys and names. Of stored groups all bytes count.
  const six = inputOf(syntheticGroup(6));
  const stored = { epoch: 1, groupInfo: six.groupInfo, isChecked: true, isProven: false };
  expect(runsInline('group-info', sizeOf(six))).toBe(false);
  expect(runsInline('group-info', sizeOf({ ...inputOf(syntheticGroup(3)), stored }))).toBe(false);
  expect(runsInline('commit-bundle', sizeOf(bundleOf(syntheticGroup(6))))).toBe(false);
  const { leavesToVerify: [batch] = [] } = JOBS['group-info']({
    ...inputOf(syntheticGroup(14)),
    maxLeafSignatures: 7,
  }) as {
    leavesToVerify?: readonly JobInput<'leaf-signatures'>[0][];
  };
  expect(runsInline('leaf-signatures', sizeOf(batch))).toBe(false);
});

test('the fingerprint of a creation is the hash of its JSON text, as released versions stored it', () => {
  const released = ({ protocol, epoch, groupInfo, policy, members }: CreationContent): Buffer => {
    const rules = Object.entries(policy).sort(([a], [b]) => (a < b ? -1 : 1));
    const content = [protocol, epoch, members, rules, groupInfo?.toString('base64') ?? null];
    return createHash('sha256').update(JSON.stringify(content)).digest();
  };
  const base = {
    protocol: 'mls',
    epoch: 3,
    members: ['alice', 'zoë "]'],
    policy: { whoMayAdd: 'admin', maxMembers: 5 },
  } as const;
  const sizes = [0, 1, 2, 3, 48 * 1024 - 1, 48 * 1024, 48 * 1024 + 1, 200_000];
  for (const groupInfo of [undefined, ...sizes.map((size) => randomBytes(size))]) {
    const content = { ...base, groupInfo };
    expect(fingerprintOf(content)).toEqual(released(content));
  }
  const known = fingerprintOf({ ...base, policy: {}, groupInfo: Buffer.from('group') }).toString('hex');
  expect(known).toBe('188f20a9f7ba08169392225d8447d9311eab4518fbb65f94eb4c1115a53495f5');
});
