import type { CiphersuiteImpl, KeyPackage, PrivateKeyPackage } from 'ts-mls';
import { encodeMessage, makeKeyPackage } from '../../client/testing.ts';

/** A key package of a device that is only ours. */
export interface OwnKeys {
  readonly user: string;
  readonly publicPackage: KeyPackage;
  readonly privatePackage: PrivateKeyPackage;
}

/** A key package with a new signature key. @param user what its credential says */
export async function newKeys(user: string, suite: CiphersuiteImpl): Promise<OwnKeys> {
  const signatureKeyPair = await suite.signature.keygen();
  const { publicPackage, privatePackage } = await makeKeyPackage({ user, signatureKeyPair }, suite);
  return { user, publicPackage, privatePackage };
}

/** Key packages of one device, as an upload has them: base64 of MLSMessages. */
export async function keyPackagesOf(user: string, suite: CiphersuiteImpl, count: number): Promise<string[]> {
  const signatureKeyPair = await suite.signature.keygen();
  const made = Array.from({ length: count }, () => makeKeyPackage({ user, signatureKeyPair }, suite));
  return (await Promise.all(made)).map(({ publicPackage }) =>
    encodeMessage({ wireformat: 'mls_key_package', keyPackage: publicPackage }),
  );
}
