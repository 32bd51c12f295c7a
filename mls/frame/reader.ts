import { MAX_MEMBERS_LIMIT } from '../../domain/limits.ts';

/** The reason why bytes are not a valid MLS message. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
  /** Byte offset where the parser stopped. */
  readonly offset: number;

  constructor(reason: string, offset: number) {
    super(`${reason} at byte ${offset}`);
    this.offset = offset;
  }
}

/** An epoch as a JSON number. `beyond` = above 2^53 - 1, which no conversation ever reaches. */
export type Epoch = number | 'beyond';

/** A cursor over bytes in TLS presentation language (RFC 9420 §2.1). Results are views of the input, not copies. */
export class Reader {
  private readonly bytes: Uint8Array;
  private position = 0;
  /** End of the vector that the reader is in. */
  private limit: number;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.limit = bytes.length;
  }

  fail(reason: string): never {
    throw new FrameError(reason, this.position);
  }

  get offset(): number {
    return this.position;
  }

  /** The input from `start` to the current position. */
  since(start: number): Uint8Array {
    return this.bytes.subarray(start, this.position);
  }

  /** Fails if more bytes follow. */
  end(): void {
    if (this.position !== this.limit) this.fail('trailing bytes');
  }

  u8(): number {
    if (this.position >= this.limit) this.fail('truncated');
    return this.bytes[this.position++] ?? 0;
  }

  u16(): number {
    return (this.u8() << 8) | this.u8();
  }

  u32(): number {
    return ((this.u16() << 16) | this.u16()) >>> 0;
  }

  /** A uint64, rounded above 2^53. Only for times, which are compared with a clock. */
  u64Rounded(): number {
    return this.u32() * 2 ** 32 + this.u32();
  }

  epoch(): Epoch {
    const high = this.u32();
    const low = this.u32();
    return high > 0x1f_ffff ? 'beyond' : high * 2 ** 32 + low;
  }

  /** Reads `opaque x<V>`. */
  vector(): Uint8Array {
    const length = this.vectorLength();
    const start = this.position;
    this.position += length;
    return this.bytes.subarray(start, this.position);
  }

  /** Skips `opaque x<V>`. */
  skipVector(): void {
    const length = this.vectorLength(); // also moves the position, so `+=` needs its own statement
    this.position += length;
  }

  /** Reads `T x<V>` and returns its elements. Fails if there are more than `max`. */
  list<T>(element: (reader: Reader) => T, max = MAX_MEMBERS_LIMIT): T[] {
    const elements: T[] = [];
    this.each((reader) => elements.push(element(reader)), max);
    return elements;
  }

  /**
   * Reads `T x<V>` without keeping its elements. An element cannot extend past the end of the vector. Fails if there are
   * more than `max`.
   */
  each(element: (reader: Reader) => unknown, max = MAX_MEMBERS_LIMIT): void {
    const length = this.vectorLength();
    const outer = this.limit;
    this.limit = this.position + length;
    for (let count = 0; this.position < this.limit; count++) {
      if (count >= max) this.fail('too many elements');
      element(this);
    }
    this.limit = outer;
  }

  /** Reads `optional<T>` (RFC 9420 §2.1.1). The presence octet must be 0 or 1. */
  optional<T>(value: (reader: Reader) => T): T | undefined {
    const present = this.u8();
    if (present > 1) this.fail('presence octet is neither 0 nor 1');
    return present === 1 ? value(this) : undefined;
  }

  /** Reads a vector length (RFC 9420 §2.1.2): 1, 2 or 4 bytes, in the shortest form. */
  private vectorLength(): number {
    const first = this.u8();
    let length = first & 0x3f;
    const prefix = first >> 6;
    if (prefix === 1) {
      length = (length << 8) | this.u8();
      if (length < 0x40) this.fail('length is not minimal');
    } else if (prefix === 2) {
      length = (length << 24) | (this.u8() << 16) | this.u16();
      if (length < 0x4000) this.fail('length is not minimal');
    } else if (prefix === 3) {
      this.fail('length prefix 0b11 is not allowed');
    }
    if (length > this.limit - this.position) this.fail('truncated');
    return length;
  }
}
