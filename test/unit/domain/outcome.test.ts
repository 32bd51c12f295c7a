import { expect, test } from 'vitest';
import { outcomeFor, parseOutcome } from '../../../domain/outcome.ts';

test('an outcome is taken as it is when it has what its kind of command is answered', () => {
  const answers = [
    ['message', { status: 'accepted', seq: 1, epoch: 0 }],
    ['commit', { status: 'duplicate', seq: 1, epoch: 1, sha256: 'aa', at: '2026-01-01T00:00:00Z' }],
    ['report', { status: 'accepted', reports: 1, needed: 2, open: false }],
    ['delete', { status: 'accepted' }],
    ['increment', { status: 'accepted' }],
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
  ['message', null, 'The outcome of message is no object'],
  ['message', 'accepted', 'The outcome of message is no object'],
  ['message', { status: 'accepted', epoch: 1 }, 'The answer of message has no seq'],
  ['commit', { status: 'accepted', epoch: 1 }, 'The answer of commit has no seq'],
  ['commit', { status: 'accepted', seq: 1 }, 'The answer of commit has no epoch'],
  ['group-info', { status: 'accepted' }, 'The answer of group-info has no epoch'],
  ['leave', { status: 'accepted', epoch: 1 }, 'The answer of leave has no seq'],
  ['leave', { status: 'accepted', seq: 1 }, 'The answer of leave has no epoch'],
  ['role', { status: 'accepted' }, 'The answer of role has no role'],
  ['policy', { status: 'accepted' }, 'The answer of policy has no policy'],
  ['report', { status: 'accepted', needed: 1, open: true }, 'The answer of report has no reports'],
  ['report', { status: 'accepted', reports: 1, open: true }, 'The answer of report has no needed'],
  ['report', { status: 'accepted', reports: 1, needed: 1 }, 'The answer of report has no open'],
  ['reset', { status: 'accepted' }, 'The answer of reset has no successor'],
] as const)('for %s, %o is refused by name of what is missing', (kind, value, message) => {
  expect(() => parseOutcome(kind, value)).toThrow(new TypeError(message));
});

test('fields of a later release stay, and a refusal needs no field of an answer', () => {
  const later = { status: 'accepted', seq: 1, epoch: 0, chain: 'of a later release' };
  expect(parseOutcome('message', later)).toBe(later);
  for (const code of ['body-missing', 'deferred', 'internal']) {
    expect(parseOutcome('report', { status: 'refused', code })).toEqual({ status: 'refused', code });
  }
});

test('the outcome for a command is checked by its kind', () => {
  const value = { status: 'accepted', seq: 1, epoch: 0 };
  expect(outcomeFor({ kind: 'leave' }, value)).toBe(value);
  expect(() => outcomeFor({ kind: 'read' }, value)).toThrow(new TypeError('The answer of read has no unread'));
});
