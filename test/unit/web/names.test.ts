import { expect, test } from 'vitest';
import { hueOf, initialsOf, nameProblem, namesIn, titleOf } from '../../../web/chat/names.ts';
import { parseUserId } from '../../../domain/ids.ts';

test.each([
  ['alice', 'A'],
  ['Ada Lovelace', 'AL'],
  ['did:example:bob', 'B'],
  ['maria.garcia@example.org', 'MG'],
  ['élodie', 'É'],
  ['👩‍👩‍👧 family', '👩‍👩‍👧F'],
  ['שלום', 'ש'],
])('the initials of %s are %s', (user, initials) => {
  expect(initialsOf(user)).toBe(initials);
});

test('a user has the same colour everywhere', () => {
  expect(hueOf('alice')).toBe(hueOf('alice'));
  expect(hueOf('alice')).not.toBe(hueOf('bob'));
  for (const user of ['alice', 'x'.repeat(255), '👋']) expect(hueOf(user)).toBeGreaterThanOrEqual(0);
});

test.each([
  [['alice'], 'Only you'],
  [['alice', 'bob'], 'bob'],
  [['alice', 'bob', 'carol', 'dave'], 'bob, carol, dave'],
  [['alice', 'bob', 'carol', 'dave', 'erin', 'frank'], 'bob, carol, dave and 2 more'],
])('a conversation of %o is called %s', (members, title) => {
  expect(titleOf(members, 'alice')).toBe(title);
});

test('names stand between commas, semicolons and lines, each once', () => {
  expect(namesIn(' bob, carol;dave\nbob ,, ')).toEqual(['bob', 'carol', 'dave']);
  expect(namesIn('Ada Lovelace')).toEqual(['Ada Lovelace']);
});

test.each([
  '',
  '.',
  '..',
  'a\u0000b',
  'a\u202eb',
  'a\u2028b',
  'x'.repeat(256),
  'alice',
  '.a',
  'می‌خواهم',
  '👩‍👩‍👧',
  'x'.repeat(255),
])('the page takes the name %o exactly if the service does', (name) => {
  expect(nameProblem(name) === undefined).toBe(parseUserId(name) !== undefined);
});
