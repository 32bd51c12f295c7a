import {
  decodeMlsMessage,
  defaultCapabilities,
  encodeMlsMessage,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
} from 'ts-mls';
import type { Capabilities, CiphersuiteImpl, CiphersuiteName, Credential, KeyPackage, Lifetime } from 'ts-mls';
import { makeKeyPackageRef, signKeyPackage } from 'ts-mls/keyPackage.js';
import { signLeafNodeKeyPackage } from 'ts-mls/leafNode.js';

export const SUITE = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519';
/** The extension that marks a package for reuse (`last_resort`). */
const LAST_RESORT = 10;
const HOUR_S = 3600;

/** How a key package differs from one that a client would make. */
export interface KeyPackageOptions {
  readonly lastResort?: boolean;
  /** @default SUITE */
  readonly suite?: CiphersuiteName;
  /** Seconds from now. @default an hour ago */
  readonly notBefore?: number;
  /** Seconds from now. @default in four weeks */
  readonly notAfter?: number;
  /** @default basic, of the user */
  readonly credential?: Credential;
  readonly capabilities?: Partial<Capabilities>;
  /** In place of the right one, before the package is signed. */
  readonly leafSignature?: Uint8Array;
  /** Changes what is signed, before both signatures. */
  readonly forge?: (unsigned: { leafNode: KeyPackage['leafNode']; initKey: Uint8Array }) => {
    leafNode?: Partial<KeyPackage['leafNode']>;
    initKey?: Uint8Array;
    extensions?: KeyPackage['extensions'];
  };
}

/** A key package as it is uploaded. */
export interface TestKeyPackage {
  /** Base64 of the MLSMessage. */
  readonly message: string;
  /** Base64 of the KeyPackageRef. */
  readonly ref: string;
  readonly keyPackage: KeyPackage;
}

const suites = new Map<CiphersuiteName, Promise<CiphersuiteImpl>>();

function loadSuite(name: CiphersuiteName): Promise<CiphersuiteImpl> {
  let suite = suites.get(name);
  if (suite === undefined) suites.set(name, (suite = getCiphersuiteImpl(getCiphersuiteFromName(name))));
  return suite;
}

/** A key package of a user with keys of its own. */
export async function testKeyPackage(user: string, options: KeyPackageOptions = {}): Promise<TestKeyPackage> {
  const suite = await loadSuite(options.suite ?? SUITE);
  const now = Math.floor(Date.now() / 1000);
  const lifetime: Lifetime = {
    notBefore: BigInt(now + (options.notBefore ?? -HOUR_S)),
    notAfter: BigInt(now + (options.notAfter ?? 28 * 24 * HOUR_S)),
  };
  const signer = await suite.signature.keygen();
  const publicKey = async (): Promise<Uint8Array> =>
    suite.hpke.exportPublicKey((await suite.hpke.generateKeyPair()).publicKey);
  const isLastResort = options.lastResort === true;
  const defaults = defaultCapabilities();
  const unsigned = {
    leafNodeSource: 'key_package' as const,
    hpkePublicKey: await publicKey(),
    signaturePublicKey: signer.publicKey,
    extensions: [],
    credential: options.credential ?? { credentialType: 'basic', identity: new TextEncoder().encode(user) },
    capabilities: {
      ...defaults,
      ...(isLastResort ? { extensions: [...defaults.extensions, LAST_RESORT] } : {}),
      ...options.capabilities,
    },
    lifetime,
    signature: new Uint8Array(),
  };
  const initKey = await publicKey();
  const forged = options.forge?.({ leafNode: unsigned, initKey }) ?? {};
  const leaf = await signLeafNodeKeyPackage({ ...unsigned, ...forged.leafNode }, signer.signKey, suite.signature);
  const keyPackage = await signKeyPackage(
    {
      version: 'mls10',
      cipherSuite: suite.name,
      initKey: forged.initKey ?? initKey,
      leafNode: { ...leaf, signature: options.leafSignature ?? leaf.signature },
      extensions:
        forged.extensions ?? (isLastResort ? [{ extensionType: LAST_RESORT, extensionData: new Uint8Array() }] : []),
    },
    signer.signKey,
    suite.signature,
  );
  const ref = Buffer.from(await makeKeyPackageRef(keyPackage, suite.hash)).toString('base64');
  return { message: keyPackageMessage(keyPackage), ref, keyPackage };
}

/** Some key packages of a user. */
export function testKeyPackages(user: string, count: number): Promise<TestKeyPackage[]> {
  return Promise.all(Array.from({ length: count }, () => testKeyPackage(user)));
}

/** Base64 of an MLSMessage with this key package (RFC 9420 §6). */
function keyPackageMessage(keyPackage: KeyPackage): string {
  return Buffer.from(encodeMlsMessage({ version: 'mls10', wireformat: 'mls_key_package', keyPackage })).toString(
    'base64',
  );
}

/** The same message with its last but nth byte turned: the signature is no longer valid. */
export function tamper(message: string, fromEnd: number): string {
  const bytes = Buffer.from(message, 'base64');
  const at = bytes.length - fromEnd;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  return bytes.toString('base64');
}

/** The user id in the credential of a claimed package. */
export function ownerOf(message: string): string | undefined {
  const decoded = decodeMlsMessage(Buffer.from(message, 'base64'), 0)?.[0];
  if (decoded?.wireformat !== 'mls_key_package') return undefined;
  const { credential } = decoded.keyPackage.leafNode;
  return credential.credentialType === 'basic' ? new TextDecoder().decode(credential.identity) : undefined;
}
