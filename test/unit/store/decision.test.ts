import { expect, test } from 'vitest';
import { parseDecision } from '../../../store/decision/parse-decision.ts';

const facts = { found: true, protocol: 'mls', epoch: 3, lastSeq: 7, memberCount: 2 };
const [message, commit] = [{ kind: 'message' }, { kind: 'commit' }] as const;

test('a decision is taken as it is, with fields that a later release added', () => {
  const outcomes = [
    { status: 'accepted', seq: 1, epoch: 0, later: null },
    { status: 'duplicate', seq: 1, epoch: 0, sha256: 'ff', at: '2026-01-01T00:00:00Z' },
    { status: 'refused', code: 'epoch-conflict', winner: { seq: 1, sha256: 'ff' }, after: 0 },
    { status: 'refused', code: 'deferred', forMs: 3 },
  ];
  expect(parseDecision([message, commit, commit, commit], { facts, outcomes })).toEqual({ facts, outcomes });
  expect(parseDecision([], { facts: { ...facts, changed: true, dueAt: 5 }, outcomes: [] }).facts).toEqual({
    ...facts,
    changed: true,
    dueAt: 5,
  });
});

test.each([
  ['nothing', undefined, 'decide() returned no decision'],
  ['too few outcomes', { facts, outcomes: [] }, 'decide() returned 0 outcomes for 1 operations'],
  ['an outcome that is none', { facts, outcomes: [null] }, 'The outcome of message is no object'],
  ['an answer without its seq', { facts, outcomes: [{ status: 'accepted', epoch: 1 }] }, 'of message has no seq'],
  [
    'facts without an epoch',
    { facts: { found: true }, outcomes: [{ status: 'accepted', seq: 1, epoch: 1 }] },
    'decide() returned incomplete facts',
  ],
])('%s is an error that says what is missing', (_, value, error) => {
  expect(() => parseDecision([message], value)).toThrow(error);
});
