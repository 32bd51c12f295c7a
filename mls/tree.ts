import { type GroupInfoFrame, type LeafNode, RATCHET_TREE_EXTENSION, parseFrame, parseRatchetTree } from './frame.ts';
import { AppError } from '../domain/errors.ts';
import { parseUserId } from '../domain/ids.ts';
import { FrameError } from './frame.ts';

/** Leaves of a ratchet tree by leaf index; blank ones are `undefined`. */
export type Leaves = readonly (LeafNode | undefined)[];

/** The bytes of the ratchet tree that a GroupInfo holds (RFC 9420 §12.4.3.3). @throws AppError `malformed` for two */
export function treeBytes({ extensions }: GroupInfoFrame): Uint8Array | undefined {
  const [tree, second] = extensions.filter(({ type }) => type === RATCHET_TREE_EXTENSION);
  if (second !== undefined) throw new AppError('malformed', 'The GroupInfo has two ratchet trees');
  return tree?.data;
}

/** The leaves of a tree. @throws AppError `malformed` */
export function readLeaves(bytes: Uint8Array): Leaves {
  const leaves = parseRatchetTree(bytes);
  if (leaves instanceof FrameError) {
    throw new AppError('malformed', `The ratchet tree of the GroupInfo is not well formed: ${leaves.message}`);
  }
  return leaves;
}

/** The user that a leaf belongs to: its basic credential is the user id in UTF-8. */
export function userOf({ identity }: LeafNode): string | undefined {
  if (identity === undefined) return undefined;
  try {
    return parseUserId(utf8.decode(identity));
  } catch {
    return undefined;
  }
}

/** The stored GroupInfo of the epoch that stands now. */
export interface CurrentGroupInfo {
  /** Of the conversation. */
  readonly epoch: number;
  /** null = nobody supplied one for this epoch. */
  readonly groupInfo: Uint8Array | null;
}

/** A GroupInfo that was stored, as far as later commits are held against it. */
export interface StoredTree {
  readonly cipherSuite: number;
  readonly leaves: Leaves;
}

/** The tree of the current GroupInfo, if that is of the epoch that is wanted and holds one of at most `maxBytes`. */
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

// A byte order mark is no part of an id, and must not vanish either.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
