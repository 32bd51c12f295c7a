import { AppError } from '../domain/errors.ts';
import { parseUserId } from '../domain/ids.ts';
import { type GroupInfoFrame, type LeafNode, RATCHET_TREE_EXTENSION, credentialName } from './frame.ts';

/** Leaves of a ratchet tree by leaf index. `undefined` = blank leaf. */
export type Leaves = readonly (LeafNode | undefined)[];

/**
 * The bytes of the ratchet tree in a GroupInfo (RFC 9420 §12.4.3.3).
 * @throws AppError `malformed` if the GroupInfo has two ratchet trees
 */
export function treeBytes({ extensions }: Pick<GroupInfoFrame, 'extensions'>): Uint8Array | undefined {
  const [tree, second] = extensions.filter(({ type }) => type === RATCHET_TREE_EXTENSION);
  if (second !== undefined) throw new AppError('malformed', 'The GroupInfo has two ratchet trees');
  return tree?.data;
}

/**
 * The user who owns a leaf: the identity in its basic credential is the user id in UTF-8. `undefined` = no valid user
 * id.
 */
export function userOf({ identity }: Pick<LeafNode, 'identity'>): string | undefined {
  if (identity === undefined) return undefined;
  try {
    return parseUserId(utf8.decode(identity));
  } catch {
    return undefined;
  }
}

/** Why a leaf names no user, as the end of a sentence. */
export function whyNoUser(leaf: LeafNode): string {
  return leaf.identity === undefined
    ? `has a credential of type ${credentialName(leaf)}: only basic ones are supported`
    : 'does not name a user';
}

// The decoder must keep a byte order mark: it makes the user id invalid. Without `ignoreBOM` the decoder would remove
// it.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
