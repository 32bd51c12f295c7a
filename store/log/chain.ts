import { hash } from 'node:crypto';
import type { EntryKind } from '../../domain/log-entry.ts';

/** The chain over the log, as `chain.sql` computes it (docs/reference/log-chain.md). Here it is computed where an answer is made. */

/** Byte of each kind in a value of the chain. */
const KIND_BYTE: Readonly<Record<EntryKind, number>> = { application: 1, commit: 2, proposal: 3 };

/** What an entry adds to the value before it. */
export interface ChainedEntry {
  readonly seq: number;
  readonly kind: EntryKind;
  /** Epoch of the frame. */
  readonly epoch: number;
  /** SHA-256 of the bytes, 32 bytes. */
  readonly sha256: Uint8Array;
}

/**
 * The value of an entry.
 * @param before value of the entry before it, 32 bytes
 * @returns 32 bytes
 */
export function chainAfter(before: Uint8Array, { seq, kind, epoch, sha256 }: ChainedEntry): Buffer {
  const input = Buffer.allocUnsafe(82);
  input[0] = 1;
  input.set(before, 1);
  input.writeBigUInt64BE(BigInt(seq), 33);
  input[41] = KIND_BYTE[kind];
  input.writeBigUInt64BE(BigInt(epoch), 42);
  input.set(sha256, 50);
  return hash('sha256', input, 'buffer');
}
