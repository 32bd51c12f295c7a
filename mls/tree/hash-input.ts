import type { Suite } from '../suite.ts';

/** Enough for a parent with two hashes and for most leaves. */
const FIRST_BYTES = 1024;

/**
 * The input of a hash, written into one buffer that all nodes of a tree share: a tree has a hundred thousand nodes, and
 * small buffers for the parts of each would cost more than the hashes.
 */
export class HashInput {
  private readonly suite: Suite;
  private bytes = Buffer.allocUnsafe(FIRST_BYTES);
  private length = 0;

  constructor(suite: Suite) {
    this.suite = suite;
  }

  uint8(value: number): this {
    this.reserve(1);
    this.bytes[this.length++] = value;
    return this;
  }

  uint32(value: number): this {
    this.reserve(4);
    this.length = this.bytes.writeUInt32BE(value, this.length);
    return this;
  }

  /** Bytes without their length. */
  raw(bytes: Uint8Array): this {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  /** `opaque x<V>` (RFC 9420 §2.1.2). */
  vector(bytes: Uint8Array): this {
    return this.vectorLength(bytes.length).raw(bytes);
  }

  /** The length of a vector in its shortest form. The bytes of the vector follow. */
  vectorLength(length: number): this {
    if (length < 0x40) return this.uint8(length);
    if (length < 0x4000) return this.uint8(0x40 | (length >> 8)).uint8(length & 0xff);
    return this.uint32((0x8000_0000 | length) >>> 0);
  }

  /** `optional<T>` (RFC 9420 §2.1.1) of encoded bytes. */
  optional(bytes: Uint8Array | undefined): this {
    return bytes === undefined ? this.uint8(0) : this.uint8(1).raw(bytes);
  }

  /** Hashes what was written, and begins the next input. */
  digest(): Buffer {
    const written = this.bytes.subarray(0, this.length);
    this.length = 0;
    return this.suite.hash(written);
  }

  private reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(2 * needed);
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }
}
