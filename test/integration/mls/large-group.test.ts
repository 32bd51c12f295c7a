import { expect, test } from 'vitest';
import { BODY_LIMIT_COMMITS } from '../../../domain/limits.ts';
import { readEpochFacts } from '../../../mls/stored-group.ts';
import { checkSuppliedGroupInfo } from '../../../mls/supplied-group-info.ts';
import { type SyntheticGroup, syntheticGroup } from '../../../tools/harness/synthetic-group.ts';

const SIZE = 10_000;

function check({ groupId, groupInfo, user }: SyntheticGroup): ReturnType<typeof checkSuppliedGroupInfo> {
  return checkSuppliedGroupInfo({ groupId, groupInfo, user, isNewGroup: false, maxTreeBytes: BODY_LIMIT_COMMITS });
}

test('a group of 10,000 passes all checks, and fits into a request', () => {
  const group = syntheticGroup(SIZE);
  expect(group.groupInfo.length * (4 / 3)).toBeLessThan(BODY_LIMIT_COMMITS);
  const facts = check(group);
  expect(facts).toMatchObject({ epoch: 1, cipherSuite: 1 });
  expect(facts.lacks).toBeUndefined();
  expect(facts.usersInTree).toHaveLength(SIZE);
  const stored = { epoch: 1, groupInfo: group.groupInfo, isChecked: true, isProven: false };
  const epoch = readEpochFacts(stored, BODY_LIMIT_COMMITS);
  expect(epoch?.users.filter((user) => user !== null)).toHaveLength(SIZE);
}, 60_000);

test('one wrong signature among thousands is found', () => {
  const group = syntheticGroup(2000, (leaves) => {
    const last = leaves.at(-1) ?? expect.unreachable();
    last[last.length - 1] = (last.at(-1) ?? 0) ^ 1;
  });
  expect(() => check(group)).toThrow('The signature of leaf 1999 is not valid');
});
