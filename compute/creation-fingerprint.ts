import { createHash } from 'node:crypto';
import type { PolicyChange } from '../domain/policy.ts';

/** What a request to create a conversation says. */
export interface CreationContent {
  readonly protocol: 'mls' | 'opaque';
  readonly epoch: number;
  /** Sorted, with the creator. */
  readonly members: readonly string[];
  readonly groupInfo?: Buffer | undefined;
  readonly policy: PolicyChange;
}

/** Bytes of a GroupInfo that become text at a time: a multiple of 3, so that only the last part has padding. */
const CHUNK_BYTES = 48 * 1024;

/**
 * SHA-256 of a creation. It does not depend on the order of members and policy fields. It is stored, so that the same
 * request of any later version counts as a retry: it stays the hash of the JSON text of a list.
 */
export function fingerprintOf({ protocol, epoch, members, groupInfo, policy }: CreationContent): Buffer {
  const rules = Object.entries(policy satisfies PolicyChange).sort(([a], [b]) => (a < b ? -1 : 1));
  const hash = createHash('sha256').update(JSON.stringify([protocol, epoch, members, rules]).slice(0, -1));
  if (groupInfo === undefined) return hash.update(',null]').digest();
  hash.update(',"');
  // The whole text would be a string of megabytes.
  for (let at = 0; at < groupInfo.length; at += CHUNK_BYTES) {
    hash.update(groupInfo.subarray(at, at + CHUNK_BYTES).toString('base64'));
  }
  return hash.update('"]').digest();
}
