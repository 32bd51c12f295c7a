import { expect, test } from 'vitest';
import { parseOutcome } from '../../../domain/outcome.ts';

test('an outcome is taken as it is when it has what its kind of command is answered', () => {
  const answers = [
    ['message', { status: 'accepted', seq: 1, epoch: 0 }],
    ['commit', { status: 'duplicate', seq: 1, epoch: 1, sha256: 'aa', at: '2026-01-01T00:00:00Z' }],
    ['report', { status: 'accepted', reports: 1, needed: 2, open: false }],
    ['delete', { status: 'accepted' }],
    ['read', { status: 'refused', code: 'not-found' }],
  ] as const;
  for (const [kind, outcome] of answers) expect(parseOutcome(kind, outcome)).toBe(outcome);
});

test.each([
  ['message', { status: 'accepted', seq: 1 }, 'The answer of message has no epoch'],
  ['read', { status: 'accepted' }, 'The answer of read has no unread'],
  ['reset', { status: 'duplicate', successor: 3 }, 'In the outcome of reset successor is not of type string'],
  ['commit', { status: 'refused' }, 'The refusal of commit has no known code'],
  ['commit', { status: 'run', seq: 1, epoch: 1 }, 'The outcome of commit has no known status'],
  ['commit', undefined, 'The outcome of commit is no object'],
  ['policy', { status: 'accepted', policy: null }, 'In the outcome of policy policy is not of type object'],
  ['message', { status: 'refused', code: 'unheard-of' }, 'The refusal of message has no known code'],
] as const)('for %s, %o is refused by name of what is missing', (kind, value, message) => {
  expect(() => parseOutcome(kind, value)).toThrow(new TypeError(message));
});
