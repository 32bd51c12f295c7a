import { ratchetTreeFromExtension } from 'ts-mls/groupInfo.js';
import { toBase64 } from '../../client/index.ts';
import { decodeMessage, leavesOf, userOfCredential } from '../../client/testing.ts';
import type { ProgramLeaf } from './program.ts';

export interface MembershipChange {
  readonly adds: readonly string[];
  readonly removes: readonly string[];
}

/** Users who get a new leaf by a commit, and those who lose their last one: what `adds` and `removes` of a commit say. */
export function membershipChange(before: readonly ProgramLeaf[], groupInfo: string): MembershipChange {
  const message = decodeMessage(groupInfo);
  const tree = message.wireformat === 'mls_group_info' ? ratchetTreeFromExtension(message.groupInfo) : undefined;
  if (tree === undefined) throw new Error('the GroupInfo has no ratchet tree');
  const leaves = [...leavesOf(tree).values()];
  const known = new Set(before.map(({ signatureKey }) => signatureKey));
  const usersOf = (some: typeof leaves): Set<string> =>
    new Set(some.flatMap(({ credential }) => userOfCredential(credential) ?? []));
  const adds = [...usersOf(leaves.filter(({ signaturePublicKey }) => !known.has(toBase64(signaturePublicKey))))];
  const remaining = usersOf(leaves);
  const removes = [...new Set(before.map(({ user }) => user))].filter((user) => !remaining.has(user));
  return { adds, removes };
}
