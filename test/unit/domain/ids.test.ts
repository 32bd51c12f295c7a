import fc from 'fast-check';
import { expect, test } from 'vitest';
import { base64url, parseConversationId, parseDeviceId, parseOperationId, parseUserId } from '../../../domain/ids.ts';

test('every group id of 1 to 64 bytes has one conversation id, which is its base64url', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), (bytes) => {
      const text = base64url(bytes);
      expect(text).toBe(Buffer.from(bytes).toString('base64url'));
      expect(parseConversationId(text)).toBe(text);
    }),
  );
  expect(base64url(new Uint8Array())).toBe('');
});

test('all 64 characters of base64url stand in conversation ids', () => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  expect(parseConversationId(alphabet)).toBe(alphabet);
  expect(base64url(Buffer.from(alphabet, 'base64url'))).toBe(alphabet);
});

test.each([
  ['nothing', ''],
  ['one character, which is no whole byte', 'A'],
  ['five characters, which are no whole bytes', 'AAAAA'],
  ['padding', 'AA=='],
  ['a character of standard base64', 'AA+A'],
  ['a line feed at the end', 'AAAA\n'],
  ['a space before it', ' AAAA'],
  ['unused bits of two characters that are not zero', 'AB'],
  ['unused bits of three characters that are not zero', 'AAB'],
  ['65 bytes', 'A'.repeat(87)],
  ['the path of a folder above', '../etc'],
])('a conversation id with %s is refused', (_, text) => {
  expect(parseConversationId(text)).toBeUndefined();
});

test('only one of the spellings of a group id is its conversation id', () => {
  const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.split('');
  expect(last.filter((character) => parseConversationId(`A${character}`) !== undefined)).toEqual(['A', 'Q', 'g', 'w']);
  expect(last.filter((character) => parseConversationId(`AA${character}`) !== undefined)).toHaveLength(16);
  expect(last.filter((character) => parseConversationId(`AAA${character}`) !== undefined)).toHaveLength(64);
  expect(parseConversationId('A'.repeat(86))).toBeDefined();
});

test.each([
  'alice',
  'did:web:example.org',
  'Zoë',
  '山田',
  '🦊',
  '...',
  'a b',
  'constructor',
  '__proto__',
  // Persian needs the non-joiner, and families and Indic scripts the joiner.
  'می\u200cخواهم',
  '👩\u200d👩\u200d👧',
  'क्\u200dष',
  'x'.repeat(255),
])('the user id %s is accepted as it is, and so is the device id', (text) => {
  expect(parseUserId(text)).toBe(text);
  expect(parseDeviceId(text)).toBe(text);
});

test.each([
  ['nothing', ''],
  ['a line feed', 'a\nb'],
  ['a line feed at the end', 'alice\n'],
  ['a NUL at the start', '\0alice'],
  ['a line separator', 'a\u2028b'],
  ['a paragraph separator', 'a\u2029b'],
  ['a mark that turns the direction of writing', 'a\u202eb'],
  ['an isolate that turns the direction of writing', 'a\u2066b'],
  ['a soft hyphen', 'a\u00adb'],
  ['a zero-width space', 'a\u200bb'],
  ['a byte order mark', '\ufeffalice'],
  ['nothing but joiners', '\u200d\u200c'],
  ['half of a surrogate pair', 'a\ud83e'],
  ['256 characters', 'x'.repeat(256)],
])('%s in a user id or a device id is refused', (_, text) => {
  expect(parseUserId(text)).toBeUndefined();
  expect(parseDeviceId(text)).toBeUndefined();
});

test('users named . and .. are refused, because a URL cannot carry them; devices may have these names', () => {
  for (const text of ['.', '..']) {
    expect(parseUserId(text)).toBeUndefined();
    expect(parseDeviceId(text)).toBe(text);
  }
});

test('a message id is 1 to 128 printable ASCII characters', () => {
  for (const text of ['1', ' ', '~', 'a/b?c#d', 'x'.repeat(128)]) expect(parseOperationId(text)).toBe(text);
  for (const text of ['', 'ä', 'a\x7f', '\x1fa', 'a\n', 'x'.repeat(129)])
    expect(parseOperationId(text)).toBeUndefined();
});
