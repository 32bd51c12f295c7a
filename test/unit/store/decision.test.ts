import { expect, test } from 'vitest';
import { parseDecision, parseOutcome } from '../../../store/decision/decision.ts';

const facts = { found: true, protocol: 'mls', epoch: 3, lastSeq: 7, memberCount: 2 };

test('a decision is taken as it is, with fields that a later release added', () => {
  const outcomes = [
    { status: 'accepted', seq: 1, epoch: 0, later: null },
    { status: 'duplicate', seq: 1, epoch: 0, sha256: 'ff', at: '2026-01-01T00:00:00Z' },
    { status: 'refused', code: 'epoch-conflict', winner: { seq: 1, sha256: 'ff' }, after: 0 },
    { status: 'refused', code: 'deferred', forMs: 3 },
  ];
  expect(parseDecision({ facts, outcomes }, 4)).toEqual({ facts, outcomes });
  expect(parseDecision({ facts: { ...facts, changed: true, dueAt: 5 }, outcomes: [] }, 0).facts).toEqual({
    ...facts,
    changed: true,
    dueAt: 5,
  });
});

test.each([
  ['nothing', undefined, 'Postgres did not return a decision: undefined'],
  ['too few outcomes', { facts, outcomes: [] }, 'Postgres did not return 1 outcomes: []'],
  ['an outcome that is none', { facts, outcomes: [null] }, 'Postgres did not return an outcome: null'],
  ['facts without an epoch', { facts: { found: true }, outcomes: [{ status: 'accepted' }] }, 'facts of a conversation'],
])('%s is an error that shows the value', (_, value, message) => {
  expect(() => parseDecision(value, 1)).toThrow(message);
});

test.each([
  [{ status: 'maybe' }, 'Postgres did not return an outcome with a known status: {"status":"maybe"}'],
  [{ status: 'refused', code: 'unheard-of' }, 'a refusal with a known code'],
  [{ status: 'accepted', seq: '1' }, 'an outcome whose seq is of type number'],
  [{ status: 'accepted', policy: null }, 'an outcome whose policy is of type object'],
])('%j is no outcome', (value, message) => {
  expect(() => parseOutcome(value)).toThrow(message);
});
