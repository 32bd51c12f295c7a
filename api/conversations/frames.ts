import { AppError } from '../../domain/errors.ts';
import { type Frame, FrameError, type PrivateFrame, type PublicFrame, parseFrame } from '../../domain/frame.ts';
import { MAX_SAFE_EPOCH } from '../../domain/limits.ts';
import type { Known } from './known.ts';

/** What a message or commit says of itself; nothing in `opaque` conversations, whose bytes are not looked at. */
export interface Framing {
  readonly epoch?: number;
  readonly type?: 'proposal';
}

/** Why bytes do not fit, with the epoch they name where the current one is still to be told. */
const NOT_PRIVATE = 'application data in a PublicMessage';

/**
 * Checks the framing of an application message or proposal.
 * @throws AppError `malformed`, `wrong-group`, `wrong-content-type`, or `epoch-ahead` without the current epoch
 */
export function checkMessage(conversation: Known, bytes: Buffer, stated: number | undefined): Framing {
  if (conversation.protocol === 'opaque') return checkStated(stated);
  const frame = contentFrame(conversation, bytes, 'A message');
  if (frame.contentType === 'commit') {
    throw new AppError('wrong-content-type', 'A commit goes to the commits of the conversation');
  }
  const epoch = checkEpoch(frame, bytes, stated);
  return frame.contentType === 'proposal' ? { epoch, type: 'proposal' } : { epoch };
}

/** Checks the framing of the proposal with which a member leaves. */
export function checkProposal(conversation: Known, bytes: Buffer, stated: number | undefined): Framing {
  if (conversation.protocol === 'opaque') return checkStated(stated);
  const frame = contentFrame(conversation, bytes, 'The proposal');
  if (frame.contentType !== 'proposal') throw new AppError('wrong-content-type', 'Leaving takes a proposal');
  return { epoch: checkEpoch(frame, bytes, stated) };
}

/** Checks the framing of a commit. @throws AppError as {@link checkMessage}, and `not-allowed` for external commits */
export function checkCommit(conversation: Known, bytes: Buffer, stated: number | undefined): Framing {
  if (conversation.protocol === 'opaque') return checkStated(stated);
  const frame = contentFrame(conversation, bytes, 'The commit');
  if (frame.contentType !== 'commit') throw new AppError('wrong-content-type', 'This takes a commit');
  const epoch = checkEpoch(frame, bytes, stated);
  if (frame.wireFormat === 'public_message' && frame.sender.type === 'new_member_commit') {
    throw new AppError('not-allowed', 'External commits are not accepted');
  }
  return { epoch };
}

/** Checks the Welcome of a commit. @throws AppError `malformed`, `welcome-mismatch` */
export function checkWelcome(conversation: Known, bytes: Buffer): void {
  if (conversation.protocol === 'opaque') return;
  if (parse(bytes, 'The Welcome').wireFormat !== 'welcome') throw new AppError('welcome-mismatch');
}

/** Checks that a GroupInfo is of this group and epoch. @throws AppError `malformed`, `wrong-group`, `group-info-mismatch` */
export function checkGroupInfo(conversation: Known, bytes: Buffer, epoch: number): void {
  if (conversation.protocol === 'opaque') return;
  const frame = parse(bytes, 'The GroupInfo');
  if (frame.wireFormat !== 'group_info') throw new AppError('group-info-mismatch', 'This is no GroupInfo');
  if (!conversation.groupId.equals(frame.groupId))
    throw new AppError('wrong-group', 'The GroupInfo is of another group');
  if (frame.epoch !== epoch) throw new AppError('group-info-mismatch', `The GroupInfo must be of epoch ${epoch}`);
}

function parse(bytes: Buffer, what: string): Frame {
  const frame = parseFrame(bytes);
  if (!(frame instanceof FrameError)) return frame;
  if (frame.message.startsWith(NOT_PRIVATE)) throw new AppError('wrong-content-type', frame.message);
  throw new AppError('malformed', `${what} is not one MLSMessage: ${frame.message}`);
}

function contentFrame(conversation: Known, bytes: Buffer, what: string): PrivateFrame | PublicFrame {
  const frame = parse(bytes, what);
  if (frame.wireFormat !== 'private_message' && frame.wireFormat !== 'public_message') {
    throw new AppError('wrong-content-type', `${what} is a ${frame.wireFormat}`);
  }
  if (!conversation.groupId.equals(frame.groupId)) throw new AppError('wrong-group');
  return frame;
}

function checkEpoch(frame: PrivateFrame | PublicFrame, bytes: Buffer, stated: number | undefined): number {
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
function rawEpoch(frame: PrivateFrame | PublicFrame, bytes: Buffer): number {
  const offset = frame.groupId.byteOffset - bytes.byteOffset + frame.groupId.length;
  return Number(bytes.readBigUInt64BE(offset));
}
