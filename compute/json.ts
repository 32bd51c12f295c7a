import { isUtf8 } from 'node:buffer';
import { AppError } from '../domain/errors.ts';
import { MAX_JSON_DEPTH, MAX_JSON_VALUES, MIN_LONG_STRING } from '../domain/limits.ts';
import { decodeBase64 } from './base64.ts';

/** A long string in a JSON body. Its text stays behind in the thread that read it. */
interface LongString {
  /** The array or object that has `null` in its place. */
  readonly holder: object;
  readonly key: string;
  /** Bytes that the string stands for in base64. Absent = it is not base64. */
  readonly bytes?: Buffer;
}

/** A JSON body in which `null` stands for each long string. */
export interface JsonBody {
  /** Has the JSON value in its only field. */
  readonly root: { readonly value: unknown };
  readonly longStrings: readonly LongString[];
}

/**
 * Reads a JSON body: UTF-8 without a byte order mark. Duplicate keys and `__proto__` behave as in `JSON.parse`. The
 * result is small: long strings are bytes already, and the number of values has a limit.
 * @throws AppError `malformed`
 */
export function readJson(bytes: Buffer): JsonBody {
  if (!isUtf8(bytes)) throw new AppError('malformed', 'The body is not UTF-8');
  refuseManyValues(bytes);
  const root = { value: parse(bytes) };
  const longStrings: LongString[] = [];
  takeLongStrings(root, longStrings);
  return { root, longStrings };
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new AppError('malformed', 'The body is not JSON', {}, { cause: error });
  }
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
/** `[` and `{`; the closing ones are two more. */
const OPENING: ReadonlySet<number> = new Set([0x5b, 0x7b]);
const CLOSING: ReadonlySet<number> = new Set([0x5d, 0x7d]);

/**
 * Counts values and nesting before anything is parsed: 8 MB of `[` or of `0,` would become hundreds of MB of objects.
 * Text that is not JSON may pass. The parser refuses it.
 */
function refuseManyValues(bytes: Buffer): void {
  let values = 1;
  let depth = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === QUOTE) {
      at = endOfString(bytes, at);
    } else if (byte === COMMA) {
      values++;
    } else if (OPENING.has(byte)) {
      values++;
      if (++depth > MAX_JSON_DEPTH) throw new AppError('malformed', `The body is nested deeper than ${MAX_JSON_DEPTH}`);
    } else if (CLOSING.has(byte)) {
      depth--;
    }
    if (values > MAX_JSON_VALUES) throw new AppError('malformed', `The body has more than ${MAX_JSON_VALUES} values`);
  }
}

/** Index of the quote that ends the string which begins at `start`; of the last byte if none does. */
function endOfString(bytes: Buffer, start: number): number {
  for (let end = bytes.indexOf(QUOTE, start + 1); end !== -1; end = bytes.indexOf(QUOTE, end + 1)) {
    let backslashes = 0;
    while (bytes[end - 1 - backslashes] === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
  return bytes.length;
}

/** Replaces each long string below `holder` by `null` and lists it. */
function takeLongStrings(holder: object, into: LongString[]): void {
  for (const [key, value] of Object.entries(holder) as [string, unknown][]) {
    if (typeof value === 'object' && value !== null) takeLongStrings(value, into);
    if (typeof value !== 'string' || value.length < MIN_LONG_STRING) continue;
    const bytes = decodeBase64(value);
    into.push({ holder, key, ...(bytes === undefined ? {} : { bytes }) });
    setOwn(holder, key, null);
  }
}

/** A long string in a request. It is a function, because no JSON value is one, and no schema takes one for another type. */
export type LongText = () => Buffer | undefined;

/** The value of a JSON body. A {@link LongText} stands for each long string. */
export function valueOf({ root, longStrings }: JsonBody): unknown {
  for (const { holder, key, bytes } of longStrings) setOwn(holder, key, (): Buffer | undefined => bytes);
  return root.value;
}

/** @returns whether a value of a request is a long string */
export function isLongText(value: unknown): value is LongText {
  return typeof value === 'function';
}

/** Changes a field that `holder` has itself. A plain assignment to a new `__proto__` would change its prototype. */
function setOwn(holder: object, key: string, value: unknown): void {
  Object.defineProperty(holder, key, { value, writable: true, enumerable: true, configurable: true });
}
