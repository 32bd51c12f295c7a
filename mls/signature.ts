import { type NativeVerify, nativeVerify } from './native-verify.ts';
import { suiteOf } from './suite.ts';
import { vector } from './vector.ts';

/** Result of a signature check. `unknown` = the service cannot verify this cipher suite. */
export type Verdict = 'valid' | 'invalid' | 'unknown';

/** What a signature is for (RFC 9420 §5.1.2), without the prefix `MLS 1.0 `. */
export type Label = 'FramedContentTBS' | 'GroupInfoTBS' | 'KeyPackageTBS' | 'LeafNodeTBS';

/** The content, its signature, and the key that signed it. */
export interface Signed {
  /** Number of the cipher suite (RFC 9420 §17.1). */
  readonly cipherSuite: number;
  readonly publicKey: Uint8Array;
  readonly content: Uint8Array;
  readonly signature: Uint8Array;
}

/** Whether the service can verify signatures of this cipher suite. */
export function canVerify(cipherSuite: number): boolean {
  return schemeOf(cipherSuite) !== undefined;
}

/** Verifies a signature: VerifyWithLabel (RFC 9420 §5.1.2). The event loop does not wait. */
export async function verifySignature(label: Label, signed: Signed): Promise<Verdict> {
  const scheme = schemeOf(signed.cipherSuite);
  if (scheme === undefined) return 'unknown';
  try {
    const { publicKey, signature } = signed;
    return (await scheme.later(publicKey, signContent(label, signed.content), signature)) ? 'valid' : 'invalid';
  } catch {
    // The key or the signature has the wrong form for this scheme.
    return 'invalid';
  }
}

/** The same in this thread, for thousands of signatures at once: about 0.1 ms each. */
export function verifySignatureNow(label: Label, signed: Signed): Verdict {
  const scheme = schemeOf(signed.cipherSuite);
  if (scheme === undefined) return 'unknown';
  try {
    return scheme.now(signed.publicKey, signContent(label, signed.content), signed.signature) ? 'valid' : 'invalid';
  } catch {
    // The key or the signature has the wrong form for this scheme.
    return 'invalid';
  }
}

function schemeOf(cipherSuite: number): NativeVerify | undefined {
  const suite = suiteOf(cipherSuite);
  return suite === undefined ? undefined : nativeVerify(suite.signature);
}

/** What is signed: SignContent (RFC 9420 §5.1.2). */
export function signContent(label: Label, content: Uint8Array): Buffer {
  return Buffer.concat([vector(Buffer.from(`MLS 1.0 ${label}`)), vector(content)]);
}
