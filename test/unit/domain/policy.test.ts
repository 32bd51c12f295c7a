import { expect, test } from 'vitest';
import { type Policy, makePolicy } from '../../../domain/policy.ts';

const defaults = { epochWindow: 2 };

test('without a change, members may do everything, only devices of members join by themselves, and a GroupInfo is required', () => {
  expect(makePolicy({}, defaults)).toStrictEqual({
    whoMayAdd: 'member',
    whoMayRemove: 'member',
    whoMayPropose: 'member',
    externalJoin: 'member',
    groupInfo: 'required',
    maxMembers: 1000,
    epochWindow: 2,
    lastAdmin: 'hand-over',
  });
});

test('every field that the creator sets is kept', () => {
  const policy: Policy = {
    whoMayAdd: 'admin',
    whoMayRemove: 'nobody',
    whoMayPropose: 'admin',
    externalJoin: 'anyone',
    groupInfo: 'optional',
    maxMembers: 2,
    epochWindow: 0,
    retentionDays: 0,
    commitRetentionDays: 30,
    lastAdmin: 'refuse',
  };
  expect(makePolicy(policy, defaults)).toStrictEqual(policy);
});

test('a GroupInfo is required unless nobody may join from outside, or the creator says so', () => {
  expect(makePolicy({ externalJoin: 'nobody' }, defaults).groupInfo).toBe('optional');
  expect(makePolicy({ externalJoin: 'anyone' }, defaults).groupInfo).toBe('required');
  expect(makePolicy({ externalJoin: 'nobody', groupInfo: 'required' }, defaults).groupInfo).toBe('required');
});
