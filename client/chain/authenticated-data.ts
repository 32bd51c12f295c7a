import { readVector, vector } from '../mls/vectors.ts';
import { concatBytes } from '../platform/bytes.ts';
import type { Statement } from './statement.ts';
import { decodeStatement, encodeStatement } from './statement.ts';

/*
 * Where a statement is in the authenticated_data of a message (RFC 9420 §6): in a group that negotiated `safe_aad`, an item of
 * its SafeAAD (draft-ietf-mls-extensions §4.9); elsewhere it follows this mark, as a vector. What an app has there comes after it.
 */
const MARK = new TextEncoder().encode('parley stated v1');
/** Of the item, from the range for private use. */
const COMPONENT_ID = 0x9ce1;

const ID_BYTES = 2;

/** @param isSafe the group negotiated `safe_aad` */
export function statementData(statement: Statement, isSafe: boolean): Uint8Array {
  const data = encodeStatement(statement);
  if (!isSafe) return concatBytes(MARK, vector(data));
  return vector(concatBytes(Uint8Array.of(COMPONENT_ID >> 8, COMPONENT_ID & 0xff), vector(data)));
}

/** The statement in the authenticated_data of a message; `undefined`: its sender stated nothing. */
export function readStatement(bytes: Uint8Array, isSafe: boolean): Statement | undefined {
  try {
    const data = isSafe ? itemOf(bytes) : markedOf(bytes);
    return data === undefined ? undefined : decodeStatement(data);
  } catch {
    return undefined; // data of another app
  }
}

/** The items of a SafeAAD: a vector of component ids (u16) with their data (vectors). */
function itemOf(bytes: Uint8Array): Uint8Array | undefined {
  const items = readVector(bytes, 0)?.content ?? new Uint8Array();
  let found: Uint8Array | undefined;
  for (let at = 0; at < items.length;) {
    const item = readVector(items, at + ID_BYTES);
    if (item === undefined) return undefined;
    const componentId = (items[at] ?? 0) * 0x100 + (items[at + 1] ?? 0);
    if (componentId === COMPONENT_ID) found ??= item.content;
    at = item.end;
  }
  return found;
}

function markedOf(bytes: Uint8Array): Uint8Array | undefined {
  if (!MARK.every((byte, i) => bytes[i] === byte)) return undefined;
  return readVector(bytes, MARK.length)?.content;
}
