import { AppError } from '../domain/errors.ts';
import type { PublicProposal } from './framing.ts';
import { FrameError, type KeyPackage, parseFrame } from './frame.ts';
import { type CheckedKeyPackage, KeyPackageFault, type KeyPackageRules, checkKeyPackage } from './key-package.ts';
import { verifySignature } from './signature.ts';

/** Extension of a key package that may be used more than once. */
const LAST_RESORT = 10;
/** A KeyPackage as an MLSMessage begins with the version and its wire format (RFC 9420 §6). */
const KEY_PACKAGE_HEADER = Buffer.of(0, 1, 0, 5);

/** A proposal by which an outsider asks to join (RFC 9420 §12.1.8), after its checks. */
export interface CheckedJoinRequest extends CheckedKeyPackage {
  /** Where the KeyPackage, without the header of an MLSMessage, stands in the proposal: bytes from 0. */
  readonly offset: number;
  readonly size: number;
}

/** The key package in a proposal by which somebody asks to join. `undefined` = the proposal is none. */
export function packageOfJoinRequest({ sender, proposal }: PublicProposal): KeyPackage | undefined {
  return sender.type === 'new_member_proposal' && proposal.type === 'add' ? proposal.keyPackage : undefined;
}

/**
 * Checks a proposal by which the caller asks to join: its key package like an uploaded one, and its signature, which needs
 * no secret and no GroupContext (RFC 9420 §6.1).
 * @throws AppError `malformed`, `identity-mismatch`
 */
export async function checkJoinRequest(
  bytes: Buffer,
  rules: Omit<KeyPackageRules, 'lastResort'>,
): Promise<CheckedJoinRequest> {
  const frame = parseFrame(bytes);
  const isProposal = !(frame instanceof FrameError) && 'proposal' in frame;
  const keyPackage = isProposal ? packageOfJoinRequest(frame) : undefined;
  if (!isProposal || keyPackage === undefined) throw new AppError('malformed', 'The proposal does not ask to join');
  const own = Buffer.concat([KEY_PACKAGE_HEADER, keyPackage.bytes]);
  const checked = await checkKeyPackage(own, {
    ...rules,
    lastResort: keyPackage.extensionTypes.includes(LAST_RESORT),
  });
  if (checked instanceof KeyPackageFault) {
    throw new AppError(checked.code, `The key package in the proposal ${checked.message}`);
  }
  const { cipherSuite, leaf } = keyPackage;
  const verdict = await verifySignature('FramedContentTBS', {
    cipherSuite,
    publicKey: leaf.signatureKey,
    content: frame.signed,
    signature: frame.signature,
  });
  if (verdict !== 'valid') throw new AppError('identity-mismatch', 'The signature of the proposal is not valid');
  return { ...checked, offset: keyPackage.bytes.byteOffset - bytes.byteOffset, size: keyPackage.bytes.length };
}
