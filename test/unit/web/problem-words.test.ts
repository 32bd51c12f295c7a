import { readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { ProblemError } from '../../../client/index.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { missingWords, problemPage, wordsOf, wordsOfProblem, wordsOfText } from '../../../web/chat/problem-words.ts';

const answer = (code: string, status: number, detail?: string): ProblemError =>
  new ProblemError({ title: 'Title', status, code, detail }, new Response(null, { status }));

test('a problem of the service is said in plain words, with its code', () => {
  expect(wordsOf(answer('not-allowed', 403, 'x'))).toEqual({
    text: 'The rules of this conversation do not allow this.',
    code: 'not-allowed',
  });
});

test('a problem without words of its own says what the service said', () => {
  expect(wordsOf(answer('wrong-group', 422, 'The message is of another group'))).toEqual({
    text: 'The message is of another group',
    code: 'wrong-group',
  });
  expect(wordsOfProblem({ type: '', title: 'Not this', status: 422, code: 'wrong-group' })).toEqual({
    text: 'Not this',
    code: 'wrong-group',
  });
});

test('an answer that is no problem has no code', () => {
  expect(wordsOf(new ProblemError({}, new Response(null, { status: 502, statusText: 'Bad Gateway' })))).toEqual({
    text: 'Bad Gateway',
  });
});

test('without a network it does not say “Failed to fetch”', () => {
  const words = { text: 'The service cannot be reached. Check your network.' };
  expect(wordsOf(new TypeError('Failed to fetch'))).toEqual(words);
  expect(wordsOfText('NetworkError when attempting to fetch resource.')).toEqual(words);
});

test('an error of another tab, which has only its text, says the same', () => {
  const error = answer('overloaded', 503, 'full');
  expect(wordsOf(new Error(error.message))).toEqual(wordsOf(error));
  expect(wordsOf('odd')).toEqual({ text: 'odd' });
});

test('words and names that every object inherits are no codes', () => {
  expect(wordsOf(answer('constructor', 400, 'x')).text).toBe('x');
  expect(missingWords('toString')).toBe('could not be added (toString).');
});

test('the link of a code leads to a page of the docs', () => {
  const pages = readdirSync(path.join(packageRoot(), 'docs', 'reference', 'problems'));
  expect(problemPage('not-allowed')).toBe('/docs/problems/not-allowed');
  expect(pages).toContain('not-allowed.md');
});
