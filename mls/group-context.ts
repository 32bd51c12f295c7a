import type { GroupInfoFrame } from './frame.ts';
import { MLS_10 } from './frame/leaf.ts';
import type { PublicCommit } from './external-commit.ts';
import type { Suite } from './suite.ts';
import { vector } from './vector.ts';

/**
 * The GroupContext that a public commit leads to (RFC 9420 §8.1), encoded. Its transcript hash covers all commits since the
 * creation (§8.2): that of the epoch before, its confirmation tag, and the signed commit.
 */
export function contextAfter(
  { groupId, contextExtensions, confirmedTranscriptHash, confirmationTag }: GroupInfoFrame,
  { epoch, proposals, transcript }: PublicCommit,
  { suite, treeHash }: { readonly suite: Suite; readonly treeHash: Uint8Array },
): Buffer {
  const interim = suite.hash(confirmedTranscriptHash, vector(confirmationTag));
  const confirmed = suite.hash(interim, transcript);
  const changes = proposals.flatMap((one) => (one.type === 'group_context_extensions' ? [one.extensions] : []));
  const header = Buffer.alloc(4);
  header.writeUInt16BE(MLS_10, 0);
  header.writeUInt16BE(suite.id, 2);
  const next = Buffer.alloc(8);
  next.writeBigUInt64BE(BigInt(epoch) + 1n);
  const extensions = changes.at(-1) ?? contextExtensions;
  return Buffer.concat([header, vector(groupId), next, vector(treeHash), vector(confirmed), extensions]);
}
