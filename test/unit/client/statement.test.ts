import { encode } from 'ts-mls/codec/tlsEncoder.js';
import { varLenDataEncoder } from 'ts-mls/codec/variableLength.js';
import { describe, expect, test } from 'vitest';
import { readStatement, statementData } from '../../../client/chain/authenticated-data.ts';
import { positionText } from '../../../client/chain/position.ts';
import type { Statement } from '../../../client/chain/statement.ts';
import { toBase64 } from '../../../client/platform/bytes.ts';
import { blocksOf, read } from '../../harness/markdown.ts';

const CHAIN = Uint8Array.from({ length: 32 }, (_, i) => i);
const STATEMENT: Statement = { position: { seq: 2 ** 40 + 3, chain: toBase64(CHAIN) }, messageId: 'message-1' };
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const vector = (bytes: Uint8Array): Uint8Array => encode(varLenDataEncoder)(bytes);

/** The bytes of `STATEMENT`, as docs/reference/log-chain.md gives them. */
const BODY = `01 01 0000010000000003 ${hex(CHAIN)} 09 ${Buffer.from('message-1').toString('hex')}`.replaceAll(' ', '');

test('the example in docs/reference/log-chain.md is a statement', () => {
  const [block] = blocksOf(read('docs/reference/log-chain.md')).filter(({ language }) => language === 'text');
  const bytes = Buffer.from(block?.text.replaceAll(/\s/g, '') ?? '', 'hex');
  const statement = readStatement(bytes, false);
  expect(statement).toMatchObject({ messageId: 'm', position: { seq: 3 } });
  expect(positionText(statement?.position ?? { seq: 0, chain: '' })).toBe('3.nAy8nmz761Rh2_1-');
  expect(hex(statementData(statement ?? { messageId: '' }, false))).toBe(hex(bytes));
});

describe('a statement in authenticated_data', () => {
  test('follows the mark as a vector, and data of the app may come after it', () => {
    const bytes = statementData(STATEMENT, false);
    expect(hex(bytes)).toBe(`${Buffer.from('parley stated v1').toString('hex')}34${BODY}`);
    expect(readStatement(bytes, false)).toEqual(STATEMENT);
    expect(readStatement(Uint8Array.from([...bytes, 1, 2, 3]), false)).toEqual(STATEMENT);
  });

  test('is an item of SafeAAD where the group negotiated it, among items of others', () => {
    const bytes = statementData(STATEMENT, true);
    expect(hex(bytes)).toBe(`379ce134${BODY}`);
    const other = Uint8Array.from([0x80, 0x02, ...vector(Uint8Array.of(7))]);
    const both = Uint8Array.from([...vector(Uint8Array.from([...other, ...bytes.subarray(1)])), 9, 9]);
    expect(readStatement(both, true)).toEqual(STATEMENT);
    expect(readStatement(vector(other), true)).toBeUndefined();
  });

  test('may have no position', () => {
    const statement = { messageId: 'm' };
    expect(readStatement(statementData(statement, false), false)).toEqual(statement);
  });

  test('is none in the data of other apps, and in broken or newer ones', () => {
    const bytes = statementData(STATEMENT, false);
    const newer = bytes.slice();
    newer[17] = 2;
    const longer = Uint8Array.from([...bytes.subarray(0, 16), ...vector(Buffer.from(`${BODY}00`, 'hex'))]);
    const shorter = Array.from({ length: bytes.length }, (_, length) => bytes.subarray(0, length));
    for (const data of [newer, longer, ...shorter, new TextEncoder().encode('app data')]) {
      expect(readStatement(data, false)).toBeUndefined();
      expect(readStatement(data, true)).toBeUndefined();
    }
  });
});
