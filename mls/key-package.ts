import { hash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { decodeMlsMessage } from 'ts-mls';
import type { KeyPackage } from 'ts-mls';
import { extensionTypeToNumber } from 'ts-mls/extension.js';
import { type KeyPackageFrame, FrameError, credentialName, parseFrame } from './frame.ts';
import { KEY_PACKAGE_CLOCK_SKEW_MS, MAX_KEY_PACKAGE_BYTES } from '../domain/limits.ts';
import { keyPackageRef } from './key-package-ref.ts';
import { verifySignature } from './signature.ts';
import { suiteOf } from './suite.ts';

/**
 * Extension of a package that may be used many times when the pool is empty (`last_resort` in the IANA registry for
 * MLS).
 */
const LAST_RESORT_EXTENSION = 10;
/**
 * Extensions 1 to 5 come from RFC 9420 itself. Every client supports them, and capabilities do not list them (§7.2).
 */
const LAST_DEFAULT_EXTENSION = 5;
/**
 * Latest time that is stored; a larger `notAfter` becomes this value. PostgreSQL has no times for all 64-bit values.
 */
const END_OF_TIME_MS = Date.UTC(9999, 0, 1);
/** A key package that passed all checks. */
export interface CheckedKeyPackage {
  /** KeyPackageRef (RFC 9420 §5.2). A Welcome names the key package by this value. */
  readonly ref: Buffer;
  /** The MLSMessage, as the device sent it. */
  readonly bytes: Buffer;
  readonly cipherSuite: number;
  readonly lastResort: boolean;
  readonly notAfter: Date;
  /** SHA-256 of each of its public keys. */
  readonly keys: { readonly init: Buffer; readonly encryption: Buffer; readonly signature: Buffer };
  /** SHA-256 of its leaf node, which will stand in the tree. */
  readonly leafNode: Buffer;
}

/** The reason to refuse a key package. The message has no subject, for example "has expired". */
export class KeyPackageFault {
  readonly code: 'malformed' | 'identity-mismatch';
  readonly message: string;

  constructor(message: string, code: KeyPackageFault['code'] = 'malformed') {
    this.code = code;
    this.message = message;
  }
}

/** Requirements for a key package. */
export interface KeyPackageRules {
  /** The credential must be basic and contain the id of this user in UTF-8. */
  readonly user: string;
  /** Whether the package must have, or must not have, the `last_resort` extension. */
  readonly lastResort: boolean;
  /** Milliseconds. Absent = any lifetime. */
  readonly maxLifetimeMs: number | undefined;
  /** Milliseconds since 1970; judges the lifetime. @default by the clock of the process */
  readonly now?: number;
}

/**
 * Checks a key package like a client that adds it to a group (RFC 9420 §7.3, §10.1). So every claimed package can be
 * used. The steps are: one strict pass over the bytes, a second parse with ts-mls, then both signatures over the
 * received bytes.
 * @param bytes an MLSMessage of wire format key_package
 */
export async function checkKeyPackage(
  bytes: Buffer,
  rules: KeyPackageRules,
): Promise<CheckedKeyPackage | KeyPackageFault> {
  if (bytes.length > MAX_KEY_PACKAGE_BYTES) return new KeyPackageFault(`has more than ${MAX_KEY_PACKAGE_BYTES} bytes`);
  const frame = parseFrame(bytes);
  if (frame instanceof FrameError) return new KeyPackageFault(`is not a valid MLSMessage: ${frame.message}`);
  if (frame.wireFormat !== 'key_package') return new KeyPackageFault(`is a ${frame.wireFormat}, not a key_package`);
  const { keyPackage } = frame;
  if (keyPackage.leaf.identity === undefined) {
    const reason = `has a credential of type ${credentialName(keyPackage.leaf)}: only basic ones are supported`;
    return new KeyPackageFault(reason, 'identity-mismatch');
  }
  const decoded = decode(bytes);
  if (decoded === undefined) return new KeyPackageFault('is not a valid KeyPackage');
  const fault =
    faultOfContent(keyPackage, decoded, rules) ??
    faultOfLifetime(keyPackage, rules) ??
    (await faultOfSignatures(keyPackage));
  if (fault !== undefined) return new KeyPackageFault(fault);
  const ref = Buffer.from(keyPackageRef(keyPackage) ?? '', 'hex');
  if (!Buffer.from(rules.user, 'utf8').equals(keyPackage.leaf.identity)) {
    return new KeyPackageFault('has the identity of another user', 'identity-mismatch');
  }
  return {
    ref,
    bytes,
    cipherSuite: keyPackage.cipherSuite,
    lastResort: rules.lastResort,
    notAfter: new Date(Math.min((keyPackage.leaf.lifetime?.notAfter ?? 0) * 1000, END_OF_TIME_MS)),
    keys: {
      init: sha256(keyPackage.initKey),
      encryption: sha256(keyPackage.leaf.encryptionKey),
      signature: sha256(keyPackage.leaf.signatureKey),
    },
    leafNode: sha256(keyPackage.leaf.bytes),
  };
}

type Parsed = KeyPackageFrame['keyPackage'];

/**
 * Parses with ts-mls, like a client. `undefined` = ts-mls cannot parse it: it returns nothing, or throws errors of many
 * kinds.
 */
function decode(bytes: Uint8Array): KeyPackage | undefined {
  try {
    const decoded = decodeMlsMessage(bytes, 0);
    if (decoded?.[1] !== bytes.length || decoded[0].wireformat !== 'mls_key_package') return undefined;
    return decoded[0].keyPackage;
  } catch {
    return undefined;
  }
}

function faultOfContent(keyPackage: Parsed, decoded: KeyPackage, rules: KeyPackageRules): string | undefined {
  const { initKey, leaf } = keyPackage;
  const suite = suiteOf(keyPackage.cipherSuite);
  if (suite === undefined) return `has a cipher suite that cannot be checked here: ${keyPackage.cipherSuite}`;
  if (!suite.isPublicKey(initKey) || !suite.isPublicKey(leaf.encryptionKey))
    return 'has a key that does not fit its cipher suite';
  // With equal keys, the key that opens the Welcome would also open messages to the leaf (RFC 9420 §10.1).
  if (Buffer.from(initKey).equals(leaf.encryptionKey)) return 'has the same init key and encryption key';

  const { versions, ciphersuites, credentials, extensions } = decoded.leafNode.capabilities;
  if (!versions.includes('mls10')) return 'does not list mls10 in its capabilities';
  if (!ciphersuites.includes(decoded.cipherSuite)) return 'does not list its cipher suite in its capabilities';
  if (!credentials.includes(decoded.leafNode.credential.credentialType)) {
    return 'does not list its credential type in its capabilities';
  }
  const isListed = (type: number): boolean => type <= LAST_DEFAULT_EXTENSION || extensions.includes(type);
  const ofLeaf = decoded.leafNode.extensions.map(({ extensionType }) => extensionTypeToNumber(extensionType));
  if (!ofLeaf.every(isListed)) return 'has an extension in its leaf that its capabilities do not list';

  const isLastResort = keyPackage.extensionTypes.includes(LAST_RESORT_EXTENSION);
  if (rules.lastResort && !isLastResort) return 'lacks the last_resort extension (10)';
  if (!rules.lastResort && isLastResort) return 'has the last_resort extension (10), so send it as lastResort';
  if (isLastResort && !isListed(LAST_RESORT_EXTENSION)) return 'does not list last_resort (10) in its capabilities';
  return undefined;
}

function faultOfLifetime({ leaf }: Parsed, { maxLifetimeMs, now = Date.now() }: KeyPackageRules): string | undefined {
  const { notBefore, notAfter } = leaf.lifetime ?? { notBefore: 0, notAfter: 0 };
  if (notBefore >= notAfter) return 'has a lifetime that ends before it begins';
  if (notAfter * 1000 <= now) return 'has expired';
  if (notBefore * 1000 > now + KEY_PACKAGE_CLOCK_SKEW_MS) return 'is not valid yet';
  if (maxLifetimeMs === undefined || (notAfter - notBefore) * 1000 <= maxLifetimeMs) return undefined;
  return `has a lifetime above ${Math.floor(maxLifetimeMs / 1000)} seconds`;
}

async function faultOfSignatures({ cipherSuite, leaf, signed, signature }: Parsed): Promise<string | undefined> {
  // Some signature schemes run in JavaScript and block the event loop for milliseconds. Other requests run in between.
  await nextTurn();
  const own = { cipherSuite, publicKey: leaf.signatureKey };
  const ofPackage = await verifySignature('KeyPackageTBS', { ...own, content: signed, signature });
  if (ofPackage === 'unknown') return `has a cipher suite that cannot be checked here: ${cipherSuite}`;
  if (ofPackage === 'invalid') return 'has a signature that is not valid';
  const ofLeaf = await verifySignature('LeafNodeTBS', { ...own, content: leaf.signed, signature: leaf.signature });
  return ofLeaf === 'valid' ? undefined : 'has a leaf whose signature is not valid';
}

function sha256(bytes: Uint8Array): Buffer {
  return hash('sha256', bytes, 'buffer');
}
