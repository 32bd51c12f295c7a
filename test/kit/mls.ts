import {
  decodeMlsMessage,
  defaultCapabilities,
  encodeMlsMessage,
  generateKeyPackage,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
} from 'ts-mls';
import type {
  CiphersuiteImpl,
  ClientState,
  KeyPackage,
  MLSMessage,
  MlsMessageContent,
  PrivateKeyPackage,
} from 'ts-mls';
import { makeKeyPackageRef } from 'ts-mls/keyPackage.js';
import { fromBase64, toBase64 } from './bytes.ts';

/** Two clock-skewed hours before now to four weeks after it. */
const LIFETIME_BEFORE_S = 2 * 3600;
const LIFETIME_AFTER_S = 28 * 24 * 3600;

/** A KeyPackage with its secrets, which never leave the device and serve for one joining. */
export interface OwnKeyPackage {
  /** KeyPackageRef, base64 (RFC 9420 §5.2). */
  readonly ref: string;
  readonly publicPackage: KeyPackage;
  readonly privatePackage: PrivateKeyPackage;
}

/** The one cipher suite that every MLS client has (RFC 9420 §17.1). */
export function loadSuite(): Promise<CiphersuiteImpl> {
  return getCiphersuiteImpl(getCiphersuiteFromName('MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'));
}

/** A new KeyPackage of `user`, whose id is the basic credential's identity (RFC 9420 §5.3, §10). */
export async function makeKeyPackage(user: string, suite: CiphersuiteImpl): Promise<OwnKeyPackage> {
  const now = Math.floor(Date.now() / 1000);
  const { publicPackage, privatePackage } = await generateKeyPackage(
    { credentialType: 'basic', identity: new TextEncoder().encode(user) },
    defaultCapabilities(),
    { notBefore: BigInt(now - LIFETIME_BEFORE_S), notAfter: BigInt(now + LIFETIME_AFTER_S) },
    [],
    suite,
  );
  const ref = toBase64(await makeKeyPackageRef(publicPackage, suite.hash));
  return { ref, publicPackage, privatePackage };
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

/** User id in a KeyPackage's basic credential. */
export function userOfKeyPackage(keyPackage: KeyPackage): string | undefined {
  const { credential } = keyPackage.leafNode;
  return credential.credentialType === 'basic' ? new TextDecoder().decode(credential.identity) : undefined;
}

/** Users by leaf index (RFC 9420 §7.8): a user has one leaf for each device. */
export function usersByLeaf(state: ClientState): ReadonlyMap<number, string> {
  const users = new Map<number, string>();
  for (const [index, node] of state.ratchetTree.entries()) {
    if (node?.nodeType !== 'leaf' || node.leaf.credential.credentialType !== 'basic') continue;
    users.set(index / 2, new TextDecoder().decode(node.leaf.credential.identity));
  }
  return users;
}

/** Two members with the same one are in the same group state (RFC 9420 §8.7). */
export function epochAuthenticator(state: ClientState): string {
  return toBase64(state.keySchedule.epochAuthenticator);
}
