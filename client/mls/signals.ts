// How a signal is sealed (docs/explanation/signals.md). Numbers are big-endian.
//
//   sealed   = format u8 = 2 ‖ epoch u64 ‖ nonce ‖ AEAD(key, nonce, aad = format ‖ epoch, inner)
//   inner    = leaf index u32 ‖ at u64 ‖ vector(data) ‖ vector(signature) ‖ zeros        (vector = length u16 ‖ bytes)
//   key      = MLS-Exporter("parley signal", group_id, AEAD.Nk)                          (RFC 9420 §8.5)
//   signed   = SignWithLabel(leaf, "ParleySignal", vector(group_id) ‖ epoch ‖ leaf index ‖ at ‖ vector(data))
import type { CiphersuiteImpl, ClientState, LeafNode } from 'ts-mls';
import { mlsExporter } from 'ts-mls';
import { signWithLabel, verifyWithLabel } from 'ts-mls/crypto/signature.js';
import { concatBytes } from '../platform/bytes.ts';
import { epochAuthenticator, leavesOf } from './tree.ts';

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
const SIGNATURE_LABEL = 'ParleySignal';

/** What opens and seals the signals of one epoch. */
export interface SignalKeys {
  readonly groupId: Uint8Array;
  readonly epoch: bigint;
  /** Tells apart two states of one epoch number: after a rollback of the service there may be two. */
  readonly authenticator: string;
  readonly key: Uint8Array;
  /** By leaf index. */
  readonly leaves: ReadonlyMap<number, LeafNode>;
}

/** The content of a signal. */
export interface OpenedSignal {
  readonly leafIndex: number;
  readonly leaf: LeafNode;
  /** Milliseconds since 1970 by the clock of the sender; greater than in its signal before. */
  readonly at: number;
  readonly data: Uint8Array;
}

export async function signalKeysOf(state: ClientState, suite: CiphersuiteImpl): Promise<SignalKeys> {
  const { groupContext, keySchedule, ratchetTree } = state;
  const { groupId, epoch } = groupContext;
  return {
    groupId,
    epoch,
    authenticator: epochAuthenticator(state),
    key: await mlsExporter(keySchedule.exporterSecret, EXPORTER_LABEL, groupId, suite.hpke.keyLength, suite),
    leaves: leavesOf(ratchetTree),
  };
}

/** Seals a signal of the own leaf. @throws RangeError if it would be larger than the service takes */
export async function sealSignal(
  keys: SignalKeys,
  { leafIndex, at, data }: Pick<OpenedSignal, 'leafIndex' | 'at' | 'data'>,
  signKey: Uint8Array,
  suite: CiphersuiteImpl,
): Promise<Uint8Array> {
  const signature = await signWithLabel(
    signKey,
    SIGNATURE_LABEL,
    signedBytes(keys, leafIndex, at, data),
    suite.signature,
  );
  const inner = concatBytes(u32(leafIndex), u64(BigInt(at)), vector(data), vector(signature));
  const { nonceLength } = suite.hpke;
  const room = MAX_SEALED_BYTES - HEADER_BYTES - nonceLength - TAG_BYTES;
  if (inner.length > room)
    throw new RangeError(`a signal of this group has at most ${room - inner.length + data.length} bytes`);
  const padded = new Uint8Array(Math.min(room, Math.ceil(inner.length / PADDING_BYTES) * PADDING_BYTES));
  padded.set(inner);
  const header = headerOf(keys.epoch);
  const nonce = crypto.getRandomValues(new Uint8Array(nonceLength));
  return concatBytes(header, nonce, await suite.hpke.encryptAead(keys.key, nonce, header, padded));
}

/** The epoch whose keys open a sealed signal. @throws RangeError if it is none */
export function epochOfSignal(sealed: Uint8Array): bigint {
  if (sealed[0] !== FORMAT) throw new RangeError('not a sealed signal');
  return viewOf(sealed).getBigUint64(1);
}

/** Opens a signal, and verifies that the device of its leaf sent it. @throws Error if it is not as it was sent */
export async function openSignal(keys: SignalKeys, sealed: Uint8Array, suite: CiphersuiteImpl): Promise<OpenedSignal> {
  const body = HEADER_BYTES + suite.hpke.nonceLength;
  const nonce = sealed.subarray(HEADER_BYTES, body);
  const inner = await suite.hpke.decryptAead(keys.key, nonce, headerOf(keys.epoch), sealed.subarray(body));
  const view = viewOf(inner);
  const leafIndex = view.getUint32(0);
  const at = Number(view.getBigUint64(4));
  const data = readVector(inner, 12);
  const signature = readVector(inner, 12 + 2 + data.length);
  const leaf = keys.leaves.get(leafIndex);
  if (leaf === undefined) throw new Error('no leaf of the group sent this signal');
  const signed = signedBytes(keys, leafIndex, at, data);
  if (!(await verifyWithLabel(leaf.signaturePublicKey, SIGNATURE_LABEL, signed, signature, suite.signature))) {
    throw new Error('the signature of the signal is wrong');
  }
  return { leafIndex, leaf, at, data };
}

function signedBytes({ groupId, epoch }: SignalKeys, leafIndex: number, at: number, data: Uint8Array): Uint8Array {
  return concatBytes(vector(groupId), u64(epoch), u32(leafIndex), u64(BigInt(at)), vector(data));
}

function headerOf(epoch: bigint): Uint8Array {
  return concatBytes(Uint8Array.of(FORMAT), u64(epoch));
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
