import { sha256 } from '@noble/hashes/sha2.js';
import { fromBase64, fromBase64Url, toBase64 } from '../platform/bytes.ts';

/*
 * The values of the chain over a log (docs/reference/log-chain.md), computed here from the entries that this device got. They are
 * base64 of 32 bytes, as the service gives them, so that two values are compared as texts.
 */

/** What an entry adds to the value before it. */
export interface ChainedEntry {
  readonly seq: number;
  readonly kind: 'application' | 'commit' | 'proposal';
  /** Epoch of the frame. */
  readonly epoch: number;
  /** Base64. */
  readonly ciphertext?: string;
  /** Of the bytes, hex: where they are gone. */
  readonly sha256?: string;
  /** The value of the entry, as the service gives it. Absent: the entry is older than the chain. */
  readonly chain?: string;
  /** The value before it, where the entry begins a block of what its reader may read. */
  readonly chainBefore?: string;
}

/** Bytes of a value. */
export const CHAIN_BYTES = 32;

const KIND_BYTE: Readonly<Record<ChainedEntry['kind'], number>> = { application: 1, commit: 2, proposal: 3 };
const MLS = 1;

/** SHA-256, base64. */
export function digestOf(bytes: Uint8Array): string {
  return toBase64(sha256(bytes));
}

/** SHA-256 of the bytes of an entry, 32 bytes; `undefined`: neither the bytes nor their hash are there. */
export function contentHash({
  ciphertext,
  sha256: hex,
}: Pick<ChainedEntry, 'ciphertext' | 'sha256'>): Uint8Array | undefined {
  if (ciphertext !== undefined) return sha256(fromBase64(ciphertext));
  return hex === undefined ? undefined : Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

/** `chain(0)` of an `mls` conversation. @param id of the conversation @param epoch in which its log began */
export function chainOrigin(id: string, epoch: number): string {
  const groupId = fromBase64Url(id);
  const label = new TextEncoder().encode('parley log v1');
  const head = [...label, groupId.length, ...groupId, MLS];
  return digestOf(Uint8Array.from([...head, ...u64(epoch)]));
}

/** The value of an entry. @param hash {@link contentHash} */
export function chainAfter(before: string, { seq, kind, epoch }: ChainedEntry, hash: Uint8Array): string {
  const head = [1, ...fromBase64(before), ...u64(seq), KIND_BYTE[kind], ...u64(epoch)];
  return digestOf(Uint8Array.from([...head, ...hash]));
}

/** Is this base64 of a value? */
export function isChainValue(text: string): boolean {
  return /^[A-Za-z0-9+/]{43}=$/.test(text);
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}
