import fc from 'fast-check';
import { createCommit, encodeMlsMessage } from 'ts-mls';
import { beforeAll, describe, expect, test } from 'vitest';
import { AppError } from '../../../domain/errors.ts';
import { BODY_LIMIT_COMMITS } from '../../../domain/limits.ts';
import { type CommitBundleInput, checkCommitBundle } from '../../../mls/commit-bundle.ts';
import { checkSuppliedGroupInfo } from '../../../mls/supplied-group-info.ts';
import { SUITE, groupInfoOf, localGroup, makeExternal, newKeys, wireGroupInfo } from '../../harness/mls/group.ts';

/**
 * One bit of a valid commit bundle or GroupInfo is flipped. Everything that is signed or derived is refused. What is left
 * needs secrets of the group: the ends of a public commit, after its signature.
 */

const bytesOf = (base64: string): Buffer => Buffer.from(base64, 'base64');

function flipped(bytes: Uint8Array, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  const at = Math.floor(bit / 8) % copy.length;
  copy[at] = (copy[at] ?? 0) ^ (1 << (bit % 8));
  return copy;
}

let member: CommitBundleInput;
let external: CommitBundleInput;

beforeAll(async () => {
  const { id, states } = await localGroup(['alice', 'bob', 'carol']);
  const groupId = Buffer.from(id, 'base64url');
  const state = states.get('alice') ?? expect.unreachable();
  const stored = {
    epoch: 1,
    groupInfo: bytesOf(wireGroupInfo(await groupInfoOf(state))),
    isChecked: true,
    isProven: true,
  };
  const common = { groupId, currentEpoch: 1, stored, maxTreeBytes: BODY_LIMIT_COMMITS };
  const { commit, newState } = await createCommit({ state, cipherSuite: SUITE }, { wireAsPublicMessage: true });
  const groupInfo = bytesOf(wireGroupInfo(await groupInfoOf(newState)));
  member = { ...common, user: 'alice', commit: encodeMlsMessage(commit), groupInfo };
  const joined = await makeExternal(await groupInfoOf(state), await newKeys('dave'));
  const { body } = joined;
  external = { ...common, user: 'dave', commit: bytesOf(body.commit), groupInfo: bytesOf(body.groupInfo) };
});

/** The code of the refusal; `undefined` = accepted as verified. */
function refusal(input: CommitBundleInput): string | undefined {
  try {
    const { outcome } = checkCommitBundle(input);
    if ('refusal' in outcome) return outcome.refusal.code;
    return outcome.facts.isVerified === true && outcome.facts.isContextProven === true ? undefined : 'not verified';
  } catch (error) {
    if (error instanceof AppError) return error.code;
    throw error;
  }
}

/** Bytes of a membership tag with its length: a MAC with a secret of the group (RFC 9420 §6.2). */
const MEMBERSHIP_TAG_BYTES = 33;

describe.each(['member', 'external'] as const)('the bundle of a public commit (%s)', (kind) => {
  const input = (): CommitBundleInput => (kind === 'member' ? member : external);

  test('is right as it is', () => {
    expect(refusal(input())).toBeUndefined();
  });

  test('is refused with one bit of its commit flipped, except in the membership tag', () => {
    const { commit } = input();
    const end = commit.length - (kind === 'member' ? MEMBERSHIP_TAG_BYTES : 0);
    fc.assert(
      fc.property(fc.nat(end * 8 - 1), (bit) => {
        expect(refusal({ ...input(), commit: flipped(commit, bit) })).toBeDefined();
      }),
      { numRuns: 300 },
    );
    if (kind === 'member')
      expect(refusal({ ...input(), commit: flipped(commit, commit.length * 8 - 1) })).toBeUndefined();
  });

  test('is refused with one bit of its GroupInfo flipped', () => {
    const { groupInfo = new Uint8Array() } = input();
    fc.assert(
      fc.property(fc.nat(groupInfo.length * 8 - 1), (bit) => {
        expect(refusal({ ...input(), groupInfo: flipped(groupInfo, bit) })).toBeDefined();
      }),
      { numRuns: 300 },
    );
  });
});

test('a GroupInfo without a commit is refused with any bit flipped, or is one without a tree that the service reads', () => {
  const { groupId, groupInfo = new Uint8Array(), user, maxTreeBytes } = member;
  const isChecked = (bytes: Uint8Array): boolean => {
    try {
      const input = { groupId, groupInfo: bytes, user, isNewGroup: false, maxTreeBytes };
      return checkSuppliedGroupInfo(input).cipherSuite !== undefined;
    } catch (error) {
      if (error instanceof AppError) return false;
      throw error;
    }
  };
  expect(isChecked(groupInfo)).toBe(true);
  fc.assert(
    fc.property(fc.nat(groupInfo.length * 8 - 1), (bit) => {
      expect(isChecked(flipped(groupInfo, bit))).toBe(false);
    }),
    { numRuns: 300 },
  );
});
