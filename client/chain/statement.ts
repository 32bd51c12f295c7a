import { readVector, vector } from '../mls/vectors.ts';
import { fromBase64, toBase64 } from '../platform/bytes.ts';
import type { ChainPosition } from './position.ts';
import { CHAIN_BYTES } from './values.ts';

/** What the sender of a message says in its authenticated_data (docs/reference/log-chain.md#statements). */
export interface Statement {
  /** The last position that it had read and verified; absent: it knows none. */
  readonly position?: ChainPosition;
  /** Message id. It stays the same when the message has to be encrypted again. */
  readonly messageId: string;
}

const VERSION = 1;
const HAS_POSITION = 1;
const SEQ_BYTES = 8;

/** u8 version, u8 whether there is a position, u64 seq, its value in full, the message id as a vector. */
export function encodeStatement({ position, messageId }: Statement): Uint8Array {
  const id = vector(new TextEncoder().encode(messageId));
  if (position === undefined) return Uint8Array.from([VERSION, 0, ...id]);
  const seq = new Uint8Array(SEQ_BYTES);
  new DataView(seq.buffer).setBigUint64(0, BigInt(position.seq));
  return Uint8Array.from([VERSION, HAS_POSITION, ...seq, ...fromBase64(position.chain), ...id]);
}

/** `undefined`: not a statement of this version. */
export function decodeStatement(bytes: Uint8Array): Statement | undefined {
  if (bytes[0] !== VERSION || (bytes[1] !== 0 && bytes[1] !== HAS_POSITION)) return undefined;
  const hasPosition = bytes[1] === HAS_POSITION;
  const idAt = 2 + (hasPosition ? SEQ_BYTES + CHAIN_BYTES : 0);
  if (bytes.length <= idAt) return undefined;
  const messageId = textOf(bytes, idAt);
  if (messageId === undefined) return undefined;
  if (!hasPosition) return { messageId };
  const seq = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(2));
  return { position: { seq, chain: toBase64(bytes.subarray(2 + SEQ_BYTES, idAt)) }, messageId };
}

/** The text in the vector that begins at `start` and ends with the bytes. */
function textOf(bytes: Uint8Array, start: number): string | undefined {
  try {
    const found = readVector(bytes, start);
    if (found?.end !== bytes.length) return undefined;
    return new TextDecoder('utf-8', { fatal: true }).decode(found.content);
  } catch {
    return undefined;
  }
}
