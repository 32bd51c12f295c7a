import { ActivityFailure, ApplicationFailure, TemporalFailure } from '@temporalio/common';
import { expect, test } from 'vitest';
import { describe as text, isDefect, undecided } from '../../../workflows/conversation/failures.ts';

const caused = (cause: Error): TemporalFailure =>
  new ActivityFailure('Activity task failed', 'apply', '1', 'NON_RETRYABLE_FAILURE', 'worker', cause);

test('a failure without a decision names its type, is never retried by Temporal and carries its details', () => {
  expect(undecided('overloaded', 'The mailbox is full', [{ depth: 3 }])).toMatchObject({
    type: 'overloaded',
    message: 'The mailbox is full',
    details: [{ depth: 3 }],
    nonRetryable: true,
  });
  expect(undecided('closing', 'The run is ending').details).toEqual([]);
});

test('a defect is found at any depth, and nothing else is one', () => {
  const defect = ApplicationFailure.create({ type: 'defect', message: 'no such function' });
  const away = ApplicationFailure.create({ type: 'away', message: 'connection refused' });
  expect(isDefect(defect)).toBe(true);
  expect(isDefect(caused(defect))).toBe(true);
  expect(isDefect(caused(caused(defect)))).toBe(true);
  expect(isDefect(away)).toBe(false);
  expect(isDefect(caused(away))).toBe(false);
  expect(isDefect(caused(Object.assign(new Error('of another kind'), { type: 'defect' })))).toBe(false);
});

test('an error is described by its message and those of its causes', () => {
  expect(text(caused(new Error('connection refused')))).toBe('Activity task failed: connection refused');
  expect(text(new TemporalFailure('alone'))).toBe('alone');
});
