// How a signal is sealed (docs/explanation/signals.md). Numbers are big-endian.
//
//   sealed   = format u8 = 2 ‖ epoch u64 ‖ nonce ‖ AEAD(key, nonce, aad = format ‖ epoch, inner)
//   inner    = leaf index u32 ‖ at u64 ‖ vector(data) ‖ vector(signature) ‖ zeros        (vector = length u16 ‖ bytes)
//   key      = MLS-Exporter("parley signal", group_id, AEAD.Nk)                          (RFC 9420 §8.5)
//   signed   = SignWithLabel(leaf, "ParleySignal", vector(group_id) ‖ epoch ‖ leaf index ‖ at ‖ vector(data))
import { concatBytes, fromBase64 } from '../platform/bytes.ts';
import type { GroupState, Leaf, MlsLibrary } from './mls-library.ts';
import { vector as mlsVector } from './vectors.ts';

/** Bytes of a sealed signal that the service takes. */
const MAX_SEALED_BYTES = 4096;
/** No MLSMessage begins with it. */
const FORMAT = 2;
const EPOCH_BYTES = 8;
const HEADER_BYTES = 1 + EPOCH_BYTES;
const TAG_BYTES = 16;
/** Lengths are rounded up to a multiple of this: so "typing" and "online" look alike. */
const PADDING_BYTES = 64;
const EXPORTER_LABEL = 'parley signal';
const SIGNATURE_LABEL = 'MLS 1.0 ParleySignal';

/** What opens and seals the signals of one epoch. */
export interface SignalKeys {
  readonly groupId: Uint8Array;
  readonly epoch: number;
  /** Tells apart two states of one epoch number: after a rollback of the service there may be two. */
  readonly authenticator: string;
  readonly key: Uint8Array;
  /** By leaf index. */
  readonly leaves: ReadonlyMap<number, Leaf>;
}

/** The content of a signal. */
export interface OpenedSignal {
  readonly leafIndex: number;
  readonly leaf: Leaf;
  /** Milliseconds since 1970 by the clock of the sender; greater than in its signal before. */
  readonly at: number;
  readonly data: Uint8Array;
}

export async function signalKeysOf(state: GroupState, mls: MlsLibrary): Promise<SignalKeys> {
  const { groupId, epoch, epochAuthenticator, leaves } = mls.view(state);
  const key = await mls.exportSecret(state, EXPORTER_LABEL, groupId, mls.aead.keyLength);
  return { groupId, epoch, authenticator: epochAuthenticator, key, leaves };
}

/** Seals a signal of the own leaf. @throws RangeError if it would be larger than the service takes */
export async function sealSignal(
  keys: SignalKeys,
  { leafIndex, at, data }: Pick<OpenedSignal, 'leafIndex' | 'at' | 'data'>,
  signKey: Uint8Array,
  mls: MlsLibrary,
): Promise<Uint8Array> {
  const signature = await mls.sign(signKey, signContent(signedBytes(keys, leafIndex, at, data)));
  const inner = concatBytes(u32(leafIndex), u64(BigInt(at)), vector(data), vector(signature));
  const { nonceLength } = mls.aead;
  const room = MAX_SEALED_BYTES - HEADER_BYTES - nonceLength - TAG_BYTES;
  if (inner.length > room)
    throw new RangeError(`a signal of this group has at most ${room - inner.length + data.length} bytes`);
  const padded = new Uint8Array(Math.min(room, Math.ceil(inner.length / PADDING_BYTES) * PADDING_BYTES));
  padded.set(inner);
  const header = headerOf(keys.epoch);
  const nonce = crypto.getRandomValues(new Uint8Array(nonceLength));
  return concatBytes(header, nonce, await mls.aead.seal(keys.key, nonce, header, padded));
}

/** The epoch whose keys open a sealed signal. @throws RangeError if it is none */
export function epochOfSignal(sealed: Uint8Array): number {
  if (sealed[0] !== FORMAT) throw new RangeError('not a sealed signal');
  return Number(viewOf(sealed).getBigUint64(1));
}

/** Opens a signal, and verifies that the device of its leaf sent it. @throws Error if it is not as it was sent */
export async function openSignal(keys: SignalKeys, sealed: Uint8Array, mls: MlsLibrary): Promise<OpenedSignal> {
  const body = HEADER_BYTES + mls.aead.nonceLength;
  const nonce = sealed.subarray(HEADER_BYTES, body);
  const inner = await mls.aead.open(keys.key, nonce, headerOf(keys.epoch), sealed.subarray(body));
  const view = viewOf(inner);
  const leafIndex = view.getUint32(0);
  const at = Number(view.getBigUint64(4));
  const data = readVector(inner, 12);
  const signature = readVector(inner, 12 + 2 + data.length);
  const leaf = keys.leaves.get(leafIndex);
  if (leaf === undefined) throw new Error('no leaf of the group sent this signal');
  const signed = signContent(signedBytes(keys, leafIndex, at, data));
  if (!(await mls.verify(fromBase64(leaf.device), signed, signature))) {
    throw new Error('the signature of the signal is wrong');
  }
  return { leafIndex, leaf, at, data };
}

/** SignContent (RFC 9420 §5.1.2). */
function signContent(content: Uint8Array): Uint8Array {
  return concatBytes(mlsVector(new TextEncoder().encode(SIGNATURE_LABEL)), mlsVector(content));
}

function signedBytes({ groupId, epoch }: SignalKeys, leafIndex: number, at: number, data: Uint8Array): Uint8Array {
  return concatBytes(vector(groupId), u64(BigInt(epoch)), u32(leafIndex), u64(BigInt(at)), vector(data));
}

function headerOf(epoch: number): Uint8Array {
  return concatBytes(Uint8Array.of(FORMAT), u64(BigInt(epoch)));
}

function vector(bytes: Uint8Array): Uint8Array {
  const length = new Uint8Array(2);
  viewOf(length).setUint16(0, bytes.length);
  return concatBytes(length, bytes);
}

function readVector(bytes: Uint8Array, offset: number): Uint8Array {
  const end = offset + 2 + viewOf(bytes).getUint16(offset);
  if (end > bytes.length) throw new RangeError('a signal is cut off');
  return bytes.slice(offset + 2, end);
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value);
  return bytes;
}

function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setBigUint64(0, value);
  return bytes;
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
