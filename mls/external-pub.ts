import { AppError } from '../domain/errors.ts';
import { EXTERNAL_PUB_EXTENSION, type GroupInfoFrame } from './frame.ts';
import { FrameError, Reader } from './frame/reader.ts';
import type { Suite } from './suite.ts';

/**
 * Checks the key for external commits (RFC 9420 §12.4.3.2): an HPKEPublicKey, which is a vector.
 * @param isNewGroup accepts the key without its length too, as ts-mls up to 1.6.4 writes it. At the creation nobody else
 * is in the group, and the first commit must bring a right one.
 * @returns whether there is one
 * @throws AppError `malformed`, `group-info-mismatch`
 */
export function checkExternalPub(
  { extensions }: Pick<GroupInfoFrame, 'extensions'>,
  suite: Suite,
  isNewGroup: boolean,
): boolean {
  const [first, second] = extensions.filter(({ type }) => type === EXTERNAL_PUB_EXTENSION);
  if (second !== undefined) throw new AppError('malformed', 'The GroupInfo has two keys for external commits');
  if (first === undefined) return false;
  const key = keyIn(first.data);
  if (key !== undefined && suite.isPublicKey(key)) return true;
  if (isNewGroup && suite.isPublicKey(first.data)) return true;
  throw new AppError('group-info-mismatch', 'external_pub in the GroupInfo is not a public key of the cipher suite');
}

function keyIn(data: Uint8Array): Uint8Array | undefined {
  try {
    const reader = new Reader(data);
    const key = reader.vector();
    reader.end();
    return key;
  } catch (error) {
    if (error instanceof FrameError) return undefined;
    throw error;
  }
}

/** Whether a device can join with this GroupInfo (RFC 9420 §12.4.3.2). */
export function hasExternalPub({ extensions }: Pick<GroupInfoFrame, 'extensions'>): boolean {
  return extensions.some(({ type }) => type === EXTERNAL_PUB_EXTENSION);
}
