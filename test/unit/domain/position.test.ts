import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatPosition, parsePosition, positionAt } from '../../../domain/position.ts';

const anySeq = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const anyChain = fc.uint8Array({ minLength: 32, maxLength: 32 });

test('what is formatted is parsed again, with the first 12 bytes of the value as its mark', () => {
  fc.assert(
    fc.property(anySeq, fc.option(anyChain), (seq, chain) => {
      const position = positionAt(seq, chain);
      expect(parsePosition(formatPosition(position))).toEqual(position);
      const mark = chain === null ? undefined : Buffer.from(chain.subarray(0, 12)).toString('base64url');
      expect(position).toEqual(mark === undefined ? { seq } : { seq, mark });
    }),
  );
});

test('of any text only positions are accepted, and each has one form', () => {
  const alike = fc.stringMatching(/^\d{0,18}\.?[\w+/=-]{0,18}$/);
  fc.assert(
    fc.property(fc.oneof(alike, fc.string()), (text) => {
      const position = parsePosition(text);
      if (position === undefined) return;
      expect(formatPosition(position)).toBe(text.replace(/^0+(?=\d)/, ''));
      expect(position.seq).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER);
    }),
  );
});

test.each([
  '',
  '.',
  '-1',
  '1.5',
  '1.',
  ' 1',
  '1.SnIKT3VOB9J7jEG',
  '1.SnIKT3VOB9J7jEGMA',
  '1.SnIKT3VOB9J7jEG=',
  '1.SnIKT3VOB9J7jEG+',
  '9007199254740992',
])('%j is no position', (text) => {
  expect(parsePosition(text)).toBeUndefined();
});
