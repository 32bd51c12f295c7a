import { expect, test } from 'vitest';
import * as row from '../../../store/row.ts';

const SECRET = 'secret-value';

test.each<[string, (fields: row.Row) => unknown, unknown, readonly unknown[]]>([
  ['text', (fields) => row.text(fields, 'x'), 'a', [null, undefined, 1, Buffer.from('a')]],
  ['integer', (fields) => row.integer(fields, 'x'), 7, [null, undefined, SECRET, 1.5, NaN, 2 ** 53, 7n]],
  ['flag', (fields) => row.flag(fields, 'x'), false, [null, undefined, SECRET, 0]],
  ['bytes', (fields) => row.bytes(fields, 'x'), Buffer.from('a'), [null, undefined, SECRET]],
  ['time', (fields) => row.time(fields, 'x'), new Date(0), [null, undefined, SECRET, 0]],
  ['oneOf', (fields) => row.oneOf(fields, 'x', ['a', 'b']), 'b', [null, undefined, SECRET]],
  ['object', (fields) => row.object(fields, 'x'), { a: 1 }, [null, undefined, SECRET, [1]]],
  ['texts', (fields) => row.texts(fields, 'x'), ['a'], [null, undefined, SECRET, ['a', 1]]],
  ['integers', (fields) => row.integers(fields, 'x'), [1, 2], [null, undefined, SECRET, [1, '2'], [1.5]]],
  ['objects', (fields) => row.objects(fields, 'x'), [{ a: 1 }], [null, undefined, SECRET, [null]]],
])('%s returns what it names, and refuses everything else without the value', (_, parse, good, bad) => {
  expect(parse({ x: good })).toEqual(good);
  for (const x of bad) {
    expect(() => parse({ x, y: good })).toThrow(/^Unexpected value from Postgres: "x" is not /);
    expect(() => parse({ x, y: good })).not.toThrow(SECRET);
  }
});

test('null is allowed only where the caller says so', () => {
  expect(row.orNull(row.text, { x: null }, 'x')).toBeNull();
  expect(row.orNull(row.text, { x: 'a' }, 'x')).toBe('a');
  expect(() => row.orNull(row.text, {}, 'x')).toThrow(TypeError);
});

test('names of a JSON object are data, also those of built-in members', () => {
  const json = JSON.parse('{"left": {"__proto__": 1, "constructor": 2}}') as row.Row;
  const left = row.integersByName(json, 'left');
  expect([...left]).toEqual([
    ['__proto__', 1],
    ['constructor', 2],
  ]);
  expect(left.get('toString')).toBeUndefined();
});

test('a statement without its row fails with its name', () => {
  expect(() => row.onlyRow([], 'read-stock')).toThrow('Postgres returned no row for read-stock');
});
