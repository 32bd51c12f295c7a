/** Encodes `opaque x<V>` (RFC 9420 §2.1.2): the length in its shortest form, then the bytes. */
export function vector(bytes: Uint8Array): Buffer {
  return Buffer.concat([lengthOf(bytes.length), bytes]);
}

function lengthOf(length: number): Buffer {
  if (length < 0x40) return Buffer.from([length]);
  if (length < 0x4000) return Buffer.from([0x40 | (length >> 8), length & 0xff]);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE((0x8000_0000 | length) >>> 0);
  return bytes;
}
