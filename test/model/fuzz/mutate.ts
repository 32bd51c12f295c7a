import fc from 'fast-check';

/** A way to damage a message. */
type Change = (bytes: Buffer, at: number, value: number, other: Buffer) => Buffer;

/** Half of the changes hit the head, where the framing is. */
const HEAD_BYTES = 64;
/** Variable-size vector headers (RFC 9420 §2.1.2): the longest of each size, non-minimal ones, the invalid prefix. */
const LENGTHS = [
  '3f',
  '7fff',
  'bfffffff',
  '4000',
  '80000000',
  '8000003f',
  'c000000000000000',
  'ffffffff',
  '00',
  '4040',
];
/** Size of a vector that is as long as its header says. */
const GIANT_BYTES = 100_000;
const MAX_BYTES = 300_000;

const CHANGES: Readonly<Record<string, Change>> = {
  flip: (bytes, at, value) => put(bytes, at, (bytes[at] ?? 0) ^ (1 << (value % 8))),
  set: (bytes, at, value) => put(bytes, at, value),
  zeros: (bytes, at, value) => Buffer.concat([bytes.subarray(0, at), Buffer.alloc(value), bytes.subarray(at + value)]),
  insert: (bytes, at, value) => Buffer.concat([bytes.subarray(0, at), Buffer.of(value), bytes.subarray(at)]),
  drop: (bytes, at) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]),
  truncate: (bytes, at) => bytes.subarray(0, at),
  trail: (bytes, _at, value) => Buffer.concat([bytes, Buffer.alloc(1 + value, value)]),
  length: (bytes, at, value) => {
    const length = Buffer.from(LENGTHS[value % LENGTHS.length] ?? '', 'hex');
    const size = 1 << ((bytes[at] ?? 0) >> 6);
    return Buffer.concat([bytes.subarray(0, at), length, bytes.subarray(at + size)]);
  },
  double: (bytes, at, value) => Buffer.concat([bytes.subarray(0, at + value), bytes.subarray(at)]),
  remove: (bytes, at, value) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + value)]),
  splice: (bytes, at, _value, other) => Buffer.concat([bytes.subarray(0, at), other.subarray(at % other.length)]),
  twice: (bytes) => Buffer.concat([bytes, bytes]),
  version: (bytes, _at, value) => put(bytes, value % 2, value),
  'wire format': (bytes, _at, value) => put(bytes, 3, value % 8),
  giant: (bytes, at) => {
    const header = Buffer.alloc(4);
    header.writeUInt32BE(0x80000000 + GIANT_BYTES);
    return Buffer.concat([bytes.subarray(0, at), header, Buffer.alloc(GIANT_BYTES), bytes.subarray(at)]);
  },
  nest: (bytes, at) => Buffer.concat([bytes.subarray(0, at), bytes, bytes.subarray(at)]),
};

function put(bytes: Buffer, at: number, value: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[at] = value & 255;
  return changed;
}

/** One of `frames`, damaged by one to three changes. */
export function damaged(frames: readonly Uint8Array[]): fc.Arbitrary<Buffer> {
  const change = fc.record({
    kind: fc.constantFrom(...Object.keys(CHANGES)),
    at: fc.nat(1 << 20),
    value: fc.nat(255),
  });
  const frame = fc.constantFrom(...frames);
  return fc.tuple(frame, frame, fc.array(change, { minLength: 1, maxLength: 3 })).map(([start, other, changes]) => {
    let bytes = Buffer.from(start);
    for (const { kind, at, value } of changes) {
      if (bytes.length === 0 || bytes.length > MAX_BYTES) break;
      const index = at % (value % 2 === 0 ? bytes.length : Math.min(bytes.length, HEAD_BYTES));
      bytes = Buffer.from(CHANGES[kind]?.(bytes, index, value, Buffer.from(other)) ?? bytes);
    }
    // Empty bytes are another mistake, which the schema itself excludes.
    return bytes.length === 0 ? Buffer.of(0) : bytes;
  });
}

const HEADER_BYTES = 4;

/** A PublicMessage or PrivateMessage changed to another group and epoch. Nobody can open its encrypted parts. */
export function retargeted(frame: Uint8Array, groupId: Uint8Array, epoch: number): Buffer {
  const bytes = Buffer.from(frame);
  const length = bytes[HEADER_BYTES] ?? 0;
  if (length > 63 || groupId.length > 63) throw new Error('group ids of up to 63 bytes have a short length');
  const rest = bytes.subarray(HEADER_BYTES + 1 + length + 8);
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(BigInt(epoch));
  return Buffer.concat([bytes.subarray(0, HEADER_BYTES), Buffer.of(groupId.length), groupId, number, rest]);
}
