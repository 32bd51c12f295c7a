import { own } from '../domain/own.ts';

/**
 * Parsers for the fields of rows, and of JSON objects inside rows. The row types of `pg` are unchecked promises. These
 * functions check each value, so that a changed statement, or a row of another release, fails here with a clear message.
 *
 * All of them throw a TypeError that names the field. The message never contains the value: it may be secret.
 */

/** One row of a query, or one JSON object in it. */
export type Row = Readonly<Record<string, unknown>>;

type Parser<T> = (row: Row, field: string) => T;

function unexpected(field: string, expected: string): TypeError {
  return new TypeError(`Unexpected value from Postgres: "${field}" is not ${expected}`);
}

export function text(row: Row, field: string): string {
  const value = own(row, field);
  if (typeof value !== 'string') throw unexpected(field, 'a string');
  return value;
}

export function integer(row: Row, field: string): number {
  const value = own(row, field);
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw unexpected(field, 'a safe integer');
  return value;
}

export function flag(row: Row, field: string): boolean {
  const value = own(row, field);
  if (typeof value !== 'boolean') throw unexpected(field, 'a boolean');
  return value;
}

export function bytes(row: Row, field: string): Buffer {
  const value = own(row, field);
  if (!Buffer.isBuffer(value)) throw unexpected(field, 'a bytea');
  return value;
}

export function time(row: Row, field: string): Date {
  const value = own(row, field);
  if (!(value instanceof Date)) throw unexpected(field, 'a timestamp');
  return value;
}

export function oneOf<const T extends string>(row: Row, field: string, values: readonly T[]): T {
  const found = values.find((value) => value === own(row, field));
  if (found === undefined) throw unexpected(field, `one of ${values.join(', ')}`);
  return found;
}

export function orNull<T>(parse: Parser<T>, row: Row, field: string): T | null {
  return own(row, field) === null ? null : parse(row, field);
}

export function object(row: Row, field: string): Row {
  const value = own(row, field);
  if (!isObject(value)) throw unexpected(field, 'an object');
  return value;
}

export function texts(row: Row, field: string): string[] {
  return list(row, field, (value) => typeof value === 'string', 'strings');
}

export function integers(row: Row, field: string): number[] {
  return list(row, field, (value): value is number => Number.isSafeInteger(value), 'safe integers');
}

export function objects(row: Row, field: string): Row[] {
  return list(row, field, isObject, 'objects');
}

/**
 * A JSON object whose names are data, for example user ids. A Map, because a plain object also has inherited names:
 * `constructor` and `toString` are valid user ids.
 */
export function integersByName(row: Row, field: string): Map<string, number> {
  const values = object(row, field);
  return new Map(Object.keys(values).map((name) => [name, integer(values, name)]));
}

/** The row of a statement that always has one. @throws TypeError when there is none */
export function onlyRow([row]: readonly Row[], statement: string): Row {
  if (row === undefined) throw new TypeError(`Postgres returned no row for ${statement}`);
  return row;
}

function list<T>(row: Row, field: string, isElement: (value: unknown) => value is T, elements: string): T[] {
  const value = own(row, field);
  if (!Array.isArray(value) || !value.every(isElement)) throw unexpected(field, `a list of ${elements}`);
  return value;
}

function isObject(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
