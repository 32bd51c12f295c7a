/** Encodes `opaque x<V>` (RFC 9420 §2.1.2): the length in its shortest form, then the bytes. */
export function vector(bytes: Uint8Array): Buffer {
  return Buffer.concat([lengthOf(bytes.length), bytes]);
}

/** Encodes a uint32. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function lengthOf(length: number): Buffer {
  if (length < 0x40) return Buffer.from([length]);
  if (length < 0x4000) return Buffer.from([0x40 | (length >> 8), length & 0xff]);
  return uint32((0x8000_0000 | length) >>> 0);
}

/** The same bytes as a Buffer. Bytes from other threads arrive as plain arrays. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
