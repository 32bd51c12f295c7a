import { type GroupInfoFrame, type LeafNode, RATCHET_TREE_EXTENSION, parseFrame, parseRatchetTree } from './frame.ts';
import { AppError } from '../domain/errors.ts';
import { parseUserId } from '../domain/ids.ts';
import { FrameError } from './frame.ts';

/** Leaves of a ratchet tree by leaf index. `undefined` = blank leaf. */
export type Leaves = readonly (LeafNode | undefined)[];

/**
 * The bytes of the ratchet tree in a GroupInfo (RFC 9420 §12.4.3.3).
 * @throws AppError `malformed` if the GroupInfo has two ratchet trees
 */
export function treeBytes({ extensions }: GroupInfoFrame): Uint8Array | undefined {
  const [tree, second] = extensions.filter(({ type }) => type === RATCHET_TREE_EXTENSION);
  if (second !== undefined) throw new AppError('malformed', 'The GroupInfo has two ratchet trees');
  return tree?.data;
}

/** Parses the leaves of a ratchet tree. @throws AppError `malformed` */
export function readLeaves(bytes: Uint8Array): Leaves {
  const leaves = parseRatchetTree(bytes);
  if (leaves instanceof FrameError) {
    throw new AppError('malformed', `The ratchet tree in the GroupInfo is not valid: ${leaves.message}`);
  }
  return leaves;
}

/**
 * The user who owns a leaf: the identity in its basic credential is the user id in UTF-8. `undefined` = no valid user
 * id.
 */
export function userOf({ identity }: LeafNode): string | undefined {
  if (identity === undefined) return undefined;
  try {
    return parseUserId(utf8.decode(identity));
  } catch {
    return undefined;
  }
}

/** The current epoch of a conversation and the stored GroupInfo for it. */
export interface CurrentGroupInfo {
  readonly epoch: number;
  /** null = no member has sent a GroupInfo for this epoch. */
  readonly groupInfo: Uint8Array | null;
}

/** The part of a stored GroupInfo that later commits are checked against. */
export interface StoredTree {
  readonly cipherSuite: number;
  readonly leaves: Leaves;
}

/**
 * The ratchet tree in the current GroupInfo.
 * @returns `undefined` if the current epoch is not `wanted`, or there is no tree of at most `maxBytes`
 */
export function storedTree(
  { epoch, groupInfo }: CurrentGroupInfo,
  wanted: number,
  maxBytes = Infinity,
): StoredTree | undefined {
  if (epoch !== wanted || groupInfo === null) return undefined;
  const frame = parseFrame(groupInfo);
  if (frame instanceof FrameError || frame.wireFormat !== 'group_info') return undefined;
  const bytes = treeBytes(frame);
  if (bytes === undefined || bytes.length > maxBytes) return undefined;
  return { cipherSuite: frame.cipherSuite, leaves: readLeaves(bytes) };
}

// The decoder must keep a byte order mark: it makes the user id invalid. Without `ignoreBOM` the decoder would remove
// it.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
