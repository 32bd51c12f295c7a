/** Elements of one list: above any real group, and low enough that an 8 MB body cannot become a gigabyte of objects. */
const MAX_LIST_ELEMENTS = 65_536;

/** Why bytes are not one well-formed MLS message. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
  /** Where the parser stopped. */
  readonly offset: number;

  constructor(reason: string, offset: number) {
    super(`${reason} at byte ${offset}`);
    this.offset = offset;
  }
}

/** A number that JSON can carry, or `beyond` for one above 2^53 - 1, which no conversation will ever reach. */
export type Epoch = number | 'beyond';

/** A cursor over TLS presentation language (RFC 9420 §2.1). Results are views of the input, never copies. */
export class Reader {
  private readonly bytes: Uint8Array;
  private position = 0;
  /** End of the vector that is being read. */
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

  /** The input from `start` up to here. */
  since(start: number): Uint8Array {
    return this.bytes.subarray(start, this.position);
  }

  /** Nothing may follow. */
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

  /** A uint64 that is only compared with a clock: rounded above 2^53. */
  u64Rounded(): number {
    return this.u32() * 2 ** 32 + this.u32();
  }

  epoch(): Epoch {
    const high = this.u32();
    const low = this.u32();
    return high > 0x1f_ffff ? 'beyond' : high * 2 ** 32 + low;
  }

  /** `opaque x<V>`. */
  vector(): Uint8Array {
    const length = this.vectorLength();
    const start = this.position;
    this.position += length;
    return this.bytes.subarray(start, this.position);
  }

  /** `opaque x<V>` that nobody looks at. */
  skipVector(): void {
    const length = this.vectorLength(); // moves the position itself
    this.position += length;
  }

  /** `T x<V>`: every element read and kept. */
  list<T>(element: (reader: Reader) => T): T[] {
    const elements: T[] = [];
    this.each((reader) => {
      if (elements.length >= MAX_LIST_ELEMENTS) this.fail('too many elements');
      elements.push(element(reader));
    });
    return elements;
  }

  /** `T x<V>`: every element read; the last one must end where the vector ends. */
  each(element: (reader: Reader) => void): void {
    const length = this.vectorLength();
    const outer = this.limit;
    this.limit = this.position + length;
    while (this.position < this.limit) element(this);
    this.limit = outer;
  }

  /** `optional<T>` (RFC 9420 §2.1.1): the presence octet is 0 or 1 and nothing else. */
  optional<T>(value: (reader: Reader) => T): T | undefined {
    const present = this.u8();
    if (present > 1) this.fail('presence octet is neither 0 nor 1');
    return present === 1 ? value(this) : undefined;
  }

  /** A length of RFC 9420 §2.1.2: 1, 2 or 4 bytes, the fewest that hold it. */
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
