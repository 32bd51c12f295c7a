import { hash } from 'node:crypto';

/** MLS messages written byte by byte (RFC 9420): those that no library makes. Nothing in them is signed or encrypted. */

const bytes = (...numbers: readonly number[]): Buffer => Buffer.from(numbers);
const u16 = (value: number): Buffer => bytes(value >> 8, value & 255);
const u32 = (value: number): Buffer =>
  Buffer.from([value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]);
const u64 = (value: number): Buffer => Buffer.concat([u32(0), u32(value)]);
const NOTHING = Buffer.alloc(0);

/** A vector with its length before it (RFC 9420 §2.1.2). */
function vector(content: Uint8Array): Buffer {
  const { length } = content;
  const head = length < 64 ? bytes(length) : length < 16_384 ? u16(0x4000 | length) : u32((0x80000000 | length) >>> 0);
  return Buffer.concat([head, content]);
}

/** Base64 of an MLSMessage. */
const message = (wireFormat: number, content: readonly Uint8Array[]): string =>
  Buffer.concat([u16(1), u16(wireFormat), ...content]).toString('base64');

const groupOf = (conversation: string): Buffer => vector(Buffer.from(conversation, 'base64url'));

/** A KeyPackage of 54 bytes for the user `guest`. */
function smallKeyPackage(number: number): Buffer {
  const key = vector(u32(number));
  const capabilities = Buffer.alloc(5);
  const leaf = [key, key, u16(1), vector(Buffer.from(GUEST)), capabilities, bytes(1), u64(0), u64(2 ** 31)];
  const signed = [...leaf, vector(NOTHING), vector(u16(number & 0xffff))];
  return Buffer.concat([u16(1), u16(1), key, ...signed, vector(NOTHING), vector(NOTHING)]);
}

/** Every KeyPackage here is for this user, so that the lists of users do not show how many there are. */
export const GUEST = 'guest';
const REF_LABEL = vector(Buffer.from('MLS 1.0 KeyPackage Reference'));

/** A public commit of the member at leaf 0 with so many Adds. */
export function commitWithAdds(conversation: string, epoch: number, adds: number): string {
  const add = (number: number): Buffer => Buffer.concat([bytes(1), u16(1), smallKeyPackage(number)]);
  const proposals = vector(Buffer.concat(Array.from({ length: adds }, (_, i) => add(i))));
  const header = [groupOf(conversation), u64(epoch), bytes(1), u32(0), vector(NOTHING), bytes(3)];
  const tail = [bytes(0), vector(Buffer.alloc(64)), vector(Buffer.alloc(32)), vector(Buffer.alloc(32))];
  return message(1, [...header, proposals, ...tail]);
}

/** The Welcome of that commit: it names the same key packages (RFC 9420 §5.2), the last one first. */
export function welcomeForMany(members: number): string {
  const secret = (number: number): Buffer => {
    const ref = hash('sha256', Buffer.concat([REF_LABEL, vector(smallKeyPackage(number))]), 'buffer');
    return Buffer.concat([vector(ref), vector(NOTHING), vector(NOTHING)]);
  };
  const secrets = vector(Buffer.concat(Array.from({ length: members }, (_, i) => secret(members - 1 - i))));
  return message(3, [u16(1), secrets, vector(Buffer.alloc(16))]);
}

/** A Welcome for one KeyPackageRef with so many bytes in it. */
export function largeWelcome(ref: Uint8Array, size: number): string {
  const secret = Buffer.concat([vector(ref), vector(Buffer.alloc(32)), vector(Buffer.alloc(48))]);
  return message(3, [u16(1), vector(secret), vector(Buffer.alloc(size, 7))]);
}

/** A private commit: nobody can read it, and the service sees only group and epoch. */
export function privateCommit(conversation: string, epoch: number, content = 'nobody can read this'): string {
  const header = [groupOf(conversation), u64(epoch), bytes(3), vector(NOTHING)];
  return message(2, [...header, vector(Buffer.alloc(28)), vector(Buffer.from(content))]);
}

/** A public Remove proposal of the member at `leaf`, of about 100 bytes. */
export function publicProposal(conversation: string, epoch: number, leaf: number, removed: number): string {
  const header = [groupOf(conversation), u64(epoch), bytes(1), u32(leaf), vector(NOTHING), bytes(2)];
  return message(1, [...header, u16(3), u32(removed), vector(Buffer.alloc(64)), vector(Buffer.alloc(32))]);
}

/** A GroupInfo with any tree bytes, suite and `external_pub`. `null` = without that extension. */
export function groupInfoBytes(given: {
  readonly conversation: string;
  readonly epoch: number;
  readonly suite?: number;
  readonly tree: Uint8Array | null;
  readonly externalPub: Uint8Array | null;
}): string {
  const { conversation, epoch, suite = 1, tree, externalPub } = given;
  const extension = (type: number, data: Uint8Array | null): Buffer[] =>
    data === null ? [] : [u16(type), vector(data)];
  const context = [u16(1), u16(suite), groupOf(conversation), u64(epoch), vector(Buffer.alloc(32)), vector(NOTHING)];
  const extensions = vector(Buffer.concat([...extension(2, tree), ...extension(4, externalPub)]));
  const tail = [vector(NOTHING), extensions, vector(Buffer.alloc(32)), u32(0), vector(Buffer.alloc(64))];
  return message(4, [...context, ...tail]);
}

/** A ratchet tree with so many leaves of invented users, for a GroupInfo. */
export function inventedTree(leaves: number): Buffer {
  const leaf = (number: number): Buffer => {
    const key = vector(Buffer.alloc(32, number & 255));
    const source = [u16(1), vector(Buffer.from(`u${number}`)), Buffer.alloc(5), bytes(1), u64(0), u64(2 ** 31)];
    return Buffer.concat([bytes(1), bytes(1), key, key, ...source, vector(NOTHING), vector(Buffer.alloc(64))]);
  };
  // Blank parents stand between the leaves.
  return vector(
    Buffer.concat(Array.from({ length: leaves }, (_, i) => (i === 0 ? leaf(i) : Buffer.concat([bytes(0), leaf(i)])))),
  );
}
