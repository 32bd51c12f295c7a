import { expect, test } from 'vitest';
import { AppError, PROBLEMS, ensureError } from '../../../domain/errors.ts';

test('an error has the status and the title of its code, unless it says more', () => {
  const plain = new AppError('epoch-conflict');
  expect(plain).toMatchObject({ name: 'AppError', code: 'epoch-conflict', status: 409, details: {} });
  expect(plain.message).toBe(PROBLEMS['epoch-conflict'].title);
  expect(plain.retryAfterMs).toBeUndefined();

  const cause = new Error('why');
  const full = new AppError('overloaded', 'The queue is full', { depth: 3 }, { retryAfterMs: null, cause });
  expect(full).toMatchObject({ status: 503, message: 'The queue is full', details: { depth: 3 }, retryAfterMs: null });
  expect(full.cause).toBe(cause);
});

test('only what may succeed later is retryable, and that is not the fault of the request', () => {
  for (const [code, { status, retryable }] of Object.entries(PROBLEMS)) {
    const isForLater = status === 429 || status >= 500 || code === 'group-info-missing';
    expect(retryable, code).toBe(isForLater);
  }
});

test('whatever is thrown becomes an Error, and an Error stays itself', () => {
  const error = new AppError('not-found');
  expect(ensureError(error)).toBe(error);
  expect(ensureError('a string')).toEqual(new Error('a string'));
  expect(ensureError(undefined)).toEqual(new Error('undefined'));
});
