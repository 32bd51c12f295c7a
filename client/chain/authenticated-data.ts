import { encode } from 'ts-mls/codec/tlsEncoder.js';
import { decodeUint16, uint16Encoder } from 'ts-mls/codec/number.js';
import { contramapBufferEncoders } from 'ts-mls/codec/tlsEncoder.js';
import { mapDecoders } from 'ts-mls/codec/tlsDecoder.js';
import {
  decodeVarLenData,
  decodeVarLenType,
  varLenDataEncoder,
  varLenTypeEncoder,
} from 'ts-mls/codec/variableLength.js';
import type { Statement } from './statement.ts';
import { decodeStatement, encodeStatement } from './statement.ts';

/*
 * Where a statement is in the authenticated_data of a message (RFC 9420 §6): in a group that negotiated `safe_aad`, an item of
 * its SafeAAD (draft-ietf-mls-extensions §4.9); elsewhere it follows this mark, as a vector. What an app has there comes after it.
 */
const MARK = new TextEncoder().encode('parley stated v1');
/** Of the item, from the range for private use. */
const COMPONENT_ID = 0x9ce1;

interface SafeAadItem {
  readonly componentId: number;
  readonly data: Uint8Array;
}

const itemEncoder = contramapBufferEncoders(
  [uint16Encoder, varLenDataEncoder],
  ({ componentId, data }: SafeAadItem) => [componentId, data] as const,
);
const decodeItem = mapDecoders([decodeUint16, decodeVarLenData], (componentId, data): SafeAadItem => ({
  componentId,
  data,
}));

/** @param isSafe the group negotiated `safe_aad` */
export function statementData(statement: Statement, isSafe: boolean): Uint8Array {
  const data = encodeStatement(statement);
  if (isSafe) return encode(varLenTypeEncoder(itemEncoder))([{ componentId: COMPONENT_ID, data }]);
  return Uint8Array.from([...MARK, ...encode(varLenDataEncoder)(data)]);
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

function itemOf(bytes: Uint8Array): Uint8Array | undefined {
  return decodeVarLenType(decodeItem)(bytes, 0)?.[0].find(({ componentId }) => componentId === COMPONENT_ID)?.data;
}

function markedOf(bytes: Uint8Array): Uint8Array | undefined {
  if (!MARK.every((byte, i) => bytes[i] === byte)) return undefined;
  return decodeVarLenData(bytes, MARK.length)?.[0];
}
