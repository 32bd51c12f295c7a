import { AppError } from '../domain/errors.ts';
import {
  type Frame,
  FrameError,
  type GroupInfoFrame,
  type PrivateFrame,
  type PublicFrame,
  type WelcomeFrame,
  parseFrame,
} from './frame.ts';
import { MAX_SAFE_EPOCH } from '../domain/limits.ts';
import type { Group } from './group.ts';

/** What a message or commit says of itself; nothing in `opaque` conversations, whose bytes are not looked at. */
export interface Framing {
  readonly epoch?: number;
  readonly type?: 'proposal';
}

/** A proposal that shows who sent it and what it asks for. */
export type PublicProposal = PublicFrame & { readonly contentType: 'proposal' };

/** What a message or proposal says of itself. */
export interface CheckedMessage {
  readonly framing: Framing;
  readonly proposal?: PublicProposal;
}

/** A commit in either framing. */
export type CommitFrame = (PrivateFrame | PublicFrame) & { readonly contentType: 'commit' };

/** A GroupInfo of the conversation, whose epoch JSON can carry. */
export type CheckedGroupInfo = GroupInfoFrame & { readonly epoch: number };

/** Why bytes do not fit, with the epoch they name where the current one is still to be told. */
const NOT_PRIVATE = 'application data in a PublicMessage';

/**
 * Checks the framing of an application message or proposal.
 * @throws AppError `malformed`, `wrong-group`, `wrong-content-type`, or `epoch-ahead` without the current epoch
 */
export function checkMessage(group: Group, bytes: Buffer, stated: number | undefined): CheckedMessage {
  if (group.protocol === 'opaque') return { framing: checkStated(stated) };
  const frame = contentFrame(group, bytes, 'A message');
  if (frame.contentType === 'commit') {
    throw new AppError('wrong-content-type', 'A commit goes to the commits of the conversation');
  }
  const epoch = checkEpoch(frame, bytes, stated);
  if (frame.contentType === 'application') return { framing: { epoch } };
  return { framing: { epoch, type: 'proposal' }, ...publicProposal(frame) };
}

/** Checks the framing of the proposal with which a member leaves. */
export function checkLeaving(group: Group, bytes: Buffer, stated: number | undefined): CheckedMessage {
  if (group.protocol === 'opaque') return { framing: checkStated(stated) };
  const frame = contentFrame(group, bytes, 'The proposal');
  if (frame.contentType !== 'proposal') throw new AppError('wrong-content-type', 'Leaving takes a proposal');
  const checked = { framing: { epoch: checkEpoch(frame, bytes, stated) }, ...publicProposal(frame) };
  if (checked.proposal !== undefined && !removesItself(checked.proposal)) {
    throw new AppError('malformed', 'Leaving takes a proposal to remove the own leaf');
  }
  return checked;
}

/** Checks the framing of a commit. @throws AppError as {@link checkMessage} */
export function checkCommit(
  group: Group,
  bytes: Buffer,
  stated: number | undefined,
): { readonly framing: Framing; readonly frame?: CommitFrame } {
  if (group.protocol === 'opaque') return { framing: checkStated(stated) };
  const frame = contentFrame(group, bytes, 'The commit');
  if (!isCommit(frame)) throw new AppError('wrong-content-type', 'This takes a commit');
  return { framing: { epoch: checkEpoch(frame, bytes, stated) }, frame };
}

/**
 * Parses the Welcome of a commit; nothing in `opaque` conversations.
 * @throws AppError `malformed`, `welcome-mismatch`
 */
export function parseWelcome(group: Group, bytes: Buffer): WelcomeFrame | undefined {
  if (group.protocol === 'opaque') return undefined;
  const frame = parse(bytes, 'The Welcome');
  if (frame.wireFormat !== 'welcome') throw new AppError('welcome-mismatch', 'This is no Welcome');
  if (frame.newMembers.length === 0) throw new AppError('welcome-mismatch', 'The Welcome is for nobody');
  return frame;
}

/**
 * Parses a GroupInfo of this group; nothing in `opaque` conversations.
 * @throws AppError `malformed`, `wrong-group`, `group-info-mismatch`, or `epoch-ahead` without the current epoch
 */
export function parseGroupInfo(group: Group, bytes: Buffer): CheckedGroupInfo | undefined {
  if (group.protocol === 'opaque') return undefined;
  const frame = parse(bytes, 'The GroupInfo');
  if (frame.wireFormat !== 'group_info') throw new AppError('group-info-mismatch', 'This is no GroupInfo');
  if (!group.groupId.equals(frame.groupId)) throw new AppError('wrong-group', 'The GroupInfo is of another group');
  return { ...frame, epoch: checkEpoch(frame, bytes, undefined) };
}

function parse(bytes: Buffer, what: string): Frame {
  const frame = parseFrame(bytes);
  if (!(frame instanceof FrameError)) return frame;
  if (frame.message.startsWith(NOT_PRIVATE)) throw new AppError('wrong-content-type', frame.message);
  throw new AppError('malformed', `${what} is not one MLSMessage: ${frame.message}`);
}

function contentFrame(group: Group, bytes: Buffer, what: string): PrivateFrame | PublicFrame {
  const frame = parse(bytes, what);
  if (frame.wireFormat !== 'private_message' && frame.wireFormat !== 'public_message') {
    throw new AppError('wrong-content-type', `${what} is a ${frame.wireFormat}`);
  }
  if (!group.groupId.equals(frame.groupId)) throw new AppError('wrong-group');
  return frame;
}

function publicProposal(frame: PrivateFrame | PublicFrame): { readonly proposal?: PublicProposal } {
  return frame.wireFormat === 'public_message' && frame.contentType === 'proposal' ? { proposal: frame } : {};
}

function removesItself({ sender, proposal }: PublicProposal): boolean {
  if (sender.type !== 'member') return false;
  return proposal.type === 'self_remove' || (proposal.type === 'remove' && proposal.removed === sender.leafIndex);
}

function isCommit(frame: PrivateFrame | PublicFrame): frame is CommitFrame {
  return frame.contentType === 'commit';
}

function checkEpoch(
  frame: PrivateFrame | PublicFrame | GroupInfoFrame,
  bytes: Buffer,
  stated: number | undefined,
): number {
  if (frame.epoch === 'beyond')
    throw new AppError('epoch-ahead', undefined, { submittedEpoch: rawEpoch(frame, bytes) });
  if (stated !== undefined && stated !== frame.epoch) {
    throw new AppError('malformed', `The stated epoch is ${stated}, that of the frame ${frame.epoch}`);
  }
  return frame.epoch;
}

function checkStated(epoch: number | undefined): Framing {
  if (epoch === undefined) return {};
  if (epoch > MAX_SAFE_EPOCH) throw new AppError('epoch-ahead', undefined, { submittedEpoch: epoch });
  return { epoch };
}

/** An epoch above 2^53 - 1, as near as JSON can tell: the eight bytes after the group id (RFC 9420 §6). */
function rawEpoch(frame: PrivateFrame | PublicFrame | GroupInfoFrame, bytes: Buffer): number {
  const offset = frame.groupId.byteOffset - bytes.byteOffset + frame.groupId.length;
  return Number(bytes.readBigUInt64BE(offset));
}
