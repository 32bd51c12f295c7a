import { MAX_MLS_LIST } from '../../domain/limits.ts';
import type { Reader } from './reader.ts';

/** An extension (RFC 9420 §13). */
export interface Extension {
  readonly type: number;
  readonly data: Uint8Array;
}

/** Lifetime of a key package in seconds since 1970 (RFC 9420 §7.2). Values above 2^53 are rounded. */
export interface Lifetime {
  readonly notBefore: number;
  readonly notAfter: number;
}

export type LeafNodeSource = 'key_package' | 'update' | 'commit';

/** A leaf node (RFC 9420 §7.2). */
export interface LeafNode {
  readonly encryptionKey: Uint8Array;
  readonly signatureKey: Uint8Array;
  /** 1 = basic, 2 = x509 (RFC 9420 §5.3). */
  readonly credentialType: number;
  /** Identity in a basic credential. Absent = another credential type. */
  readonly identity: Uint8Array | undefined;
  readonly source: LeafNodeSource;
  /** Only in a `key_package` leaf. */
  readonly lifetime: Lifetime | undefined;
  /** Parent hash (RFC 9420 §7.9). Only in a `commit` leaf. */
  readonly parentHash: Uint8Array | undefined;
  /**
   * The signed bytes (LeafNodeTBS), without the group id and leaf index that follow in `update` and `commit` leaves.
   */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  /** All bytes of the leaf. The tree hash covers them (RFC 9420 §7.8). */
  readonly bytes: Uint8Array;
}

/** A key package (RFC 9420 §10). */
export interface KeyPackage {
  readonly cipherSuite: number;
  readonly initKey: Uint8Array;
  readonly leaf: LeafNode;
  readonly extensionTypes: readonly number[];
  /** The signed bytes (KeyPackageTBS). */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  /** All bytes of the KeyPackage. A KeyPackageRef is the hash of these bytes (RFC 9420 §5.2). */
  readonly bytes: Uint8Array;
}

export const MLS_10 = 1;
const CREDENTIAL_BASIC = 1;
const CREDENTIAL_X509 = 2;
const CREDENTIAL_NAMES = new Map([
  [CREDENTIAL_BASIC, 'basic'],
  [CREDENTIAL_X509, 'x509'],
]);

const extension = (reader: Reader): Extension => ({ type: reader.u16(), data: reader.vector() });
const extensionType = (reader: Reader): number => {
  const type = reader.u16();
  reader.skipVector();
  return type;
};
const skipUint16 = (reader: Reader): void => void reader.u16();
const skipVector = (reader: Reader): void => reader.skipVector();

/** Reads `Extension extensions<V>` (RFC 9420 §13). */
export function readExtensions(reader: Reader): Extension[] {
  return reader.list(extension, MAX_MLS_LIST);
}

/** Reads the same without keeping it. */
export function skipExtensions(reader: Reader): void {
  reader.each(extensionType, MAX_MLS_LIST);
}

/**
 * Reads only the types. An extension can have three bytes, and a message of megabytes would become gigabytes of objects:
 * thousands of leaves or key packages with hundreds of extensions each.
 */
function readExtensionTypes(reader: Reader): number[] {
  return reader.list(extensionType, MAX_MLS_LIST);
}

/** Reads a ProtocolVersion, which must be mls10 (RFC 9420 §6). */
export function readVersion(reader: Reader): void {
  if (reader.u16() !== MLS_10) reader.fail('protocol version is not mls10');
}

/** Reads a LeafNode (RFC 9420 §7.2). @param expected required source; absent = any source */
export function readLeafNode(reader: Reader, expected?: LeafNodeSource): LeafNode {
  const start = reader.offset;
  const encryptionKey = reader.vector();
  const signatureKey = reader.vector();
  const credentialType = reader.u16();
  const identity = readCredential(reader, credentialType);
  // Capabilities are five lists: versions, cipher suites, extensions, proposals, credentials. All allow unknown values.
  for (let list = 0; list < 5; list++) reader.each(skipUint16, MAX_MLS_LIST);
  const source = readSource(reader);
  if (expected !== undefined && source !== expected) reader.fail(`leaf node source is not ${expected}`);
  const lifetime =
    source === 'key_package' ? { notBefore: reader.u64Rounded(), notAfter: reader.u64Rounded() } : undefined;
  const parentHash = source === 'commit' ? reader.vector() : undefined;
  skipExtensions(reader);
  const signed = reader.since(start);
  const signature = reader.vector();
  const bytes = reader.since(start);
  const keys = { encryptionKey, signatureKey };
  const content = { credentialType, identity, source, lifetime, parentHash };
  return { ...keys, ...content, signed, signature, bytes };
}

/** Reads a KeyPackage (RFC 9420 §10). */
export function readKeyPackage(reader: Reader): KeyPackage {
  const start = reader.offset;
  readVersion(reader);
  const cipherSuite = reader.u16();
  const initKey = reader.vector();
  const leaf = readLeafNode(reader, 'key_package');
  const extensionTypes = readExtensionTypes(reader);
  const signed = reader.since(start);
  const signature = reader.vector();
  return { cipherSuite, initKey, leaf, extensionTypes, signed, signature, bytes: reader.since(start) };
}

/** The name of a credential type, for people (RFC 9420 §17.5). */
export function credentialName({ credentialType }: Pick<LeafNode, 'credentialType'>): string {
  const name = CREDENTIAL_NAMES.get(credentialType);
  return name === undefined ? `0x${credentialType.toString(16).padStart(4, '0')}` : `${name} (${credentialType})`;
}

function readCredential(reader: Reader, type: number): Uint8Array | undefined {
  if (type === CREDENTIAL_BASIC) return reader.vector();
  if (type === CREDENTIAL_X509) reader.each(skipVector, MAX_MLS_LIST);
  // RFC 9420 §5.3 does not define the content of other types. Existing implementations store one vector.
  else reader.skipVector();
  return undefined;
}

function readSource(reader: Reader): LeafNodeSource {
  switch (reader.u8()) {
    case 1:
      return 'key_package';
    case 2:
      return 'update';
    case 3:
      return 'commit';
    default:
      return reader.fail('unknown leaf node source');
  }
}
