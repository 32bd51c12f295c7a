import {
  decodeMlsMessage,
  defaultCapabilities,
  encodeMlsMessage,
  generateKeyPackageWithKey,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
} from 'ts-mls';
import type {
  CiphersuiteImpl,
  ClientState,
  Credential,
  KeyPackage,
  LeafNode,
  MLSMessage,
  MlsMessageContent,
  PrivateKeyPackage,
  RatchetTree,
} from 'ts-mls';
import { makeKeyPackageRef } from 'ts-mls/keyPackage.js';
import { fromBase64, toBase64 } from '../platform/bytes.ts';
import type { DeviceIdentity } from '../device/identity.ts';

/** Two clock-skewed hours before now to four weeks after it. */
const LIFETIME_BEFORE_S = 2 * 3600;
const LIFETIME_AFTER_S = 28 * 24 * 3600;
/** KeyPackage extension `last_resort` (IANA registry of MLS extension types). */
const LAST_RESORT = 10;
/** Number of the one cipher suite that every MLS client has (RFC 9420 §17.1). */
export const CIPHER_SUITE = 1;

/** A KeyPackage with its secrets, which never leave the device and serve for one joining. */
export interface OwnKeyPackage {
  /** KeyPackageRef, base64 (RFC 9420 §5.2). */
  readonly ref: string;
  readonly publicPackage: KeyPackage;
  readonly privatePackage: PrivateKeyPackage;
  /** May serve for several joinings, when the device has no other left. */
  readonly isLastResort: boolean;
}

export function loadSuite(): Promise<CiphersuiteImpl> {
  return getCiphersuiteImpl(getCiphersuiteFromName('MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'));
}

/** A new KeyPackage of a device; the basic credential's identity is the user's id (RFC 9420 §5.3, §10). */
export async function makeKeyPackage(
  { user, signatureKeyPair }: DeviceIdentity,
  suite: CiphersuiteImpl,
  isLastResort = false,
): Promise<OwnKeyPackage> {
  const now = Math.floor(Date.now() / 1000);
  const capabilities = defaultCapabilities();
  const { publicPackage, privatePackage } = await generateKeyPackageWithKey(
    { credentialType: 'basic', identity: new TextEncoder().encode(user) },
    { ...capabilities, extensions: [...capabilities.extensions, LAST_RESORT] },
    { notBefore: BigInt(now - LIFETIME_BEFORE_S), notAfter: BigInt(now + LIFETIME_AFTER_S) },
    isLastResort ? [{ extensionType: LAST_RESORT, extensionData: new Uint8Array() }] : [],
    signatureKeyPair,
    suite,
  );
  const ref = toBase64(await makeKeyPackageRef(publicPackage, suite.hash));
  return { ref, publicPackage, privatePackage, isLastResort };
}

/** Base64 of an MLSMessage (RFC 9420 §6). */
export function wire(content: MlsMessageContent): string {
  return toBase64(encodeMlsMessage({ version: 'mls10', ...content }));
}

/** The MLSMessage that base64 holds, and nothing else. */
export function unwire(base64: string): MLSMessage {
  const bytes = fromBase64(base64);
  const decoded = decodeMlsMessage(bytes, 0);
  if (decoded?.[1] !== bytes.length) throw new Error('not one whole MLSMessage');
  return decoded[0];
}

/** User id in a basic credential (RFC 9420 §5.3). */
export function userOfCredential(credential: Credential): string | undefined {
  return credential.credentialType === 'basic' ? new TextDecoder().decode(credential.identity) : undefined;
}

/** Leaves by index (RFC 9420 §7.8): a user has one for each device. */
export function leavesOf(tree: RatchetTree): ReadonlyMap<number, LeafNode> {
  const leaves = new Map<number, LeafNode>();
  for (const [index, node] of tree.entries()) if (node?.nodeType === 'leaf') leaves.set(index / 2, node.leaf);
  return leaves;
}

/** Users by leaf index. */
export function usersByLeaf({ ratchetTree }: Pick<ClientState, 'ratchetTree'>): ReadonlyMap<number, string> {
  const users = new Map<number, string>();
  for (const [index, { credential }] of leavesOf(ratchetTree)) {
    const user = userOfCredential(credential);
    if (user !== undefined) users.set(index, user);
  }
  return users;
}

/** The leaf that holds this signature key, if the tree has one. */
export function leafWithKey(tree: RatchetTree, signatureKey: Uint8Array): number | undefined {
  const wanted = toBase64(signatureKey);
  for (const [index, { signaturePublicKey }] of leavesOf(tree)) {
    if (toBase64(signaturePublicKey) === wanted) return index;
  }
  return undefined;
}

/** Two members with the same one are in the same group state (RFC 9420 §8.7). */
export function epochAuthenticator(state: ClientState): string {
  return toBase64(state.keySchedule.epochAuthenticator);
}
