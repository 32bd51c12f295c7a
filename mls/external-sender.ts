import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import type { SignatureAlgorithm } from 'ts-mls/crypto/signature.js';
import { FrameError, Reader } from './frame/reader.ts';
import { MLS_10, readExtensions } from './frame/leaf.ts';
import { signContent } from './signature.ts';
import { uint32, vector } from './vector.ts';

/**
 * The service as an external sender (RFC 9420 §12.1.8.1): members list its key in the GroupContext, and it proposes to remove leaves. It can
 * do nothing else, and members decide.
 */

export type SenderAlgorithm = Exclude<SignatureAlgorithm, 'ML-DSA-87'>;

/** A new key pair. */
export interface SenderKeyPair {
  /** As in a SignaturePublicKey (RFC 9420 §5.1.1). */
  readonly publicKey: Buffer;
  /** PKCS #8, in DER. */
  readonly privateKey: Buffer;
}

const CURVES = { P256: 'P-256', P384: 'P-384', P521: 'P-521' } as const;
/** The hash for ECDSA; `null` = EdDSA, which has its own hash. */
const HASHES = { P256: 'sha256', P384: 'sha384', P521: 'sha512', Ed25519: null, Ed448: null } as const;
/** Type of the extension `external_senders` in a GroupContext (RFC 9420 §17.3). */
export const EXTERNAL_SENDERS_EXTENSION = 5;
/** Who the service is, in the credential that groups list. No check depends on it: the key counts. */
const IDENTITY = 'parley';
const BASIC_CREDENTIAL = 1;

const PUBLIC_MESSAGE = 1;
const EXTERNAL_SENDER = 2;
const PROPOSAL = 2;
const REMOVE = 3;
/** First byte of an uncompressed point (SEC 1 §2.3.3). */
const UNCOMPRESSED = 4;

/** Makes a key pair for a signature scheme. */
export function makeSenderKey(algorithm: SenderAlgorithm): SenderKeyPair {
  const { publicKey, privateKey } =
    algorithm === 'Ed25519'
      ? generateKeyPairSync('ed25519')
      : algorithm === 'Ed448'
        ? generateKeyPairSync('ed448')
        : generateKeyPairSync('ec', { namedCurve: CURVES[algorithm] });
  const { x = '', y } = publicKey.export({ format: 'jwk' });
  const point = Buffer.from(x, 'base64url');
  return {
    publicKey: y === undefined ? point : Buffer.concat([Buffer.of(UNCOMPRESSED), point, Buffer.from(y, 'base64url')]),
    privateKey: privateKey.export({ format: 'der', type: 'pkcs8' }),
  };
}

/** The ExternalSender that groups list (RFC 9420 §12.1.8.1): the key, and a basic credential. */
export function externalSender(publicKey: Uint8Array): Buffer {
  return Buffer.concat([vector(publicKey), uint16(BASIC_CREDENTIAL), vector(Buffer.from(IDENTITY))]);
}

/**
 * The keys of the external senders that a GroupContext lists, by `sender_index`.
 * @param extensions the extensions of the GroupContext, encoded
 * @returns none if the extension is missing, or is not in the form of the RFC
 */
export function externalSenderKeys(extensions: Uint8Array): Uint8Array[] {
  const reader = new Reader(extensions);
  try {
    const listed = readExtensions(reader).filter(({ type }) => type === EXTERNAL_SENDERS_EXTENSION);
    const [only] = listed;
    if (only === undefined || listed.length > 1) return [];
    const senders = new Reader(only.data);
    const keys = senders.list(readSender);
    senders.end();
    return keys;
  } catch (error) {
    if (error instanceof FrameError) return [];
    throw error;
  }
}

function readSender(reader: Reader): Uint8Array {
  const key = reader.vector();
  const type = reader.u16();
  if (type === BASIC_CREDENTIAL) reader.skipVector();
  else if (type === 2) reader.each((certificates) => certificates.skipVector());
  else reader.fail('unknown credential type');
  return key;
}

/** A Remove proposal of an external sender. */
export interface ExternalRemove {
  readonly groupId: Uint8Array;
  readonly epoch: number;
  /** Position of the sender in `external_senders`. */
  readonly senderIndex: number;
  /** Index of the leaf to remove. */
  readonly removed: number;
}

/** Makes a Remove proposal as a PublicMessage (RFC 9420 §6.2, §12.1.3). @param privateKey PKCS #8, in DER */
export function externalRemove(
  { groupId, epoch, senderIndex, removed }: ExternalRemove,
  { algorithm, privateKey }: { readonly algorithm: SenderAlgorithm; readonly privateKey: Uint8Array },
): Buffer {
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(BigInt(epoch));
  const content = Buffer.concat([
    vector(groupId),
    number,
    Buffer.of(EXTERNAL_SENDER),
    uint32(senderIndex),
    vector(new Uint8Array()), // authenticated data
    Buffer.of(PROPOSAL),
    uint16(REMOVE),
    uint32(removed),
  ]);
  // Without the GroupContext, which only members and joiners sign (§6.1).
  const signed = Buffer.concat([uint16(MLS_10), uint16(PUBLIC_MESSAGE), content]);
  const key = createPrivateKey({ key: Buffer.from(privateKey), format: 'der', type: 'pkcs8' });
  const signature = sign(HASHES[algorithm], signContent('FramedContentTBS', signed), { key, dsaEncoding: 'der' });
  // Of the two tags of a PublicMessage a proposal has none, and only members add a membership tag.
  return Buffer.concat([signed, vector(signature)]);
}

function uint16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}
