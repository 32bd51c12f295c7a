import { randomBytes } from 'node:crypto';

/** MLSMessages (RFC 9420 §6) put together by hand: sealed parts are random, what a delivery service reads is right. */

type ContentType = 'application' | 'proposal' | 'commit';
const CONTENT: Readonly<Record<ContentType, number>> = { application: 1, proposal: 2, commit: 3 };

/** Variable-size vector (§2.1.2), up to 16383 bytes. */
function vector(bytes: Uint8Array): Buffer {
  const length = bytes.length < 64 ? Buffer.from([bytes.length]) : u16(0x4000 | bytes.length);
  return Buffer.concat([length, bytes]);
}

function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 255]);
}

function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

const header = (wireFormat: number): Buffer => Buffer.concat([u16(1), u16(wireFormat)]);
const groupOf = (conversation: string): Buffer => vector(Buffer.from(conversation, 'base64url'));
const sealed = (): Buffer => vector(randomBytes(24));
const empty = vector(Buffer.alloc(0));

/** A PrivateMessage of any content type. */
export function privateMessage(
  conversation: string,
  epoch: number | bigint,
  content: ContentType = 'application',
): Buffer {
  const type = Buffer.from([CONTENT[content]]);
  return Buffer.concat([header(2), groupOf(conversation), u64(epoch), type, empty, sealed(), sealed()]);
}

/** A PublicMessage that says it holds application data, which no client may send. */
export function publicApplication(conversation: string, epoch: number): Buffer {
  const sender = Buffer.from([1, 0, 0, 0, 0]);
  return Buffer.concat([header(1), groupOf(conversation), u64(epoch), sender, empty, Buffer.from([1]), sealed()]);
}

/** A commit by which somebody joins (§12.4.3.2). */
export function externalCommit(conversation: string, epoch: number): Buffer {
  const content = Buffer.concat([Buffer.from([3]), empty, Buffer.from([0])]);
  const sender = Buffer.from([4]);
  return Buffer.concat([header(1), groupOf(conversation), u64(epoch), sender, empty, content, sealed(), sealed()]);
}

/** A Welcome for nobody in particular. */
export function welcome(): Buffer {
  return Buffer.concat([header(3), u16(1), empty, sealed()]);
}

export function groupInfo(conversation: string, epoch: number): Buffer {
  // At epoch 0 nothing has entered the transcript (RFC 9420 §11).
  const transcript = epoch === 0 ? empty : sealed();
  const context = Buffer.concat([u16(1), u16(1), groupOf(conversation), u64(epoch), sealed(), transcript, empty]);
  return Buffer.concat([header(4), context, empty, sealed(), Buffer.alloc(4), sealed()]);
}
