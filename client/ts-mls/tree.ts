import type { ClientState, Credential, LeafNode, RatchetTree } from 'ts-mls';
import { toBase64 } from '../platform/bytes.ts';

/** The user id in a basic credential (RFC 9420 §5.3); `undefined` for other credentials. */
export function userOfCredential(credential: Credential): string | undefined {
  return credential.credentialType === 'basic' ? new TextDecoder().decode(credential.identity) : undefined;
}

/** Leaves by leaf index (RFC 9420 §7.8). A user has one leaf for each device. */
export function leavesOf(tree: RatchetTree): ReadonlyMap<number, LeafNode> {
  const leaves = new Map<number, LeafNode>();
  for (const [index, node] of tree.entries()) if (node?.nodeType === 'leaf') leaves.set(index / 2, node.leaf);
  return leaves;
}

/** Index of the leaf with this signature key; `undefined` if the tree has none. */
export function leafWithKey(tree: RatchetTree, signatureKey: Uint8Array): number | undefined {
  const wanted = toBase64(signatureKey);
  for (const [index, { signaturePublicKey }] of leavesOf(tree)) {
    if (toBase64(signaturePublicKey) === wanted) return index;
  }
  return undefined;
}

/** Base64. Two members with the same epoch authenticator have the same group state (RFC 9420 §8.7). */
export function epochAuthenticator(state: ClientState): string {
  return toBase64(state.keySchedule.epochAuthenticator);
}
