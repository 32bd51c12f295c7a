import type { SupervisionPolicy } from './policy.ts';

/** FNV-1a: the same number for the same text, on every machine and in every replay. From 0 to 2^32 - 1. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  // The low bits of FNV are weak for short texts.
  hash ^= hash >>> 15;
  return Math.imul(hash, 0x2c1b3c6d) >>> 0;
}

/** The bucket of a conversation: from 0 to `buckets` - 1. */
export function bucketOf(conversation: string, buckets: number): number {
  return hashOf(conversation) % buckets;
}

/**
 * Pause after the nth restart of a conversation, in milliseconds. It grows by the factor up to the longest one. A share of it
 * is left to chance; the chance is a hash of conversation and restart, so a replay has the same one.
 */
export function backoffMs(policy: SupervisionPolicy, conversation: string, restart: number): number {
  const grown = policy.backoffInitialMs * policy.backoffFactor ** Math.max(restart - 1, 0);
  const longest = Math.max(policy.backoffMaxMs, policy.backoffInitialMs);
  const chance = hashOf(`${conversation} ${restart}`) / 2 ** 32;
  return Math.round(Math.min(grown, longest) * (1 - policy.backoffJitter * chance));
}
