import { own } from '../domain/own.ts';
import { AppError, ensureError } from '../domain/errors.ts';

/** A place in a message that has bytes. */
interface BytesAt {
  readonly holder: object;
  readonly key: string | number;
}

/**
 * A value on its way from one thread to another. The receiver must not search the value for bytes, because that takes
 * time, so the sender lists them. References inside one message stay references.
 */
export interface Packed {
  readonly root: { readonly value: unknown };
  readonly bytes: readonly BytesAt[];
}

/** @returns the size of the Buffers and strings in plain data, in bytes */
export function sizeOf(value: unknown): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null) return 0;
  if (value instanceof Uint8Array) return value.byteLength;
  return Object.values(value).reduce<number>((sum, part) => sum + sizeOf(part), 0);
}

/**
 * Packs plain data for `postMessage`. All bytes are copied into one new memory block, which moves to the other thread,
 * so the sender keeps its own bytes.
 * @param give the sender gives its bytes away: a Buffer that fills its memory block moves without a copy, and is empty
 * afterwards
 */
export function pack(value: unknown, give = false): { readonly message: Packed; readonly transfer: ArrayBuffer[] } {
  const transfer = new Set<ArrayBuffer>();
  const bytes: BytesAt[] = [];
  const views: Uint8Array[] = [];
  const copies = new Map<object, object>();
  const copyInto = (holder: object, key: string | number, part: unknown): unknown => {
    if (typeof part !== 'object' || part === null) return part;
    if (part instanceof Uint8Array) {
      bytes.push({ holder, key });
      views.push(part);
      return null;
    }
    return copies.get(part) ?? copyOf(part);
  };
  const copyOf = (part: object): object => {
    if (Array.isArray(part)) {
      const copy: unknown[] = [];
      copies.set(part, copy);
      for (const [index, element] of part.entries()) copy.push(copyInto(copy, index, element));
      return copy;
    }
    // Dates, Maps and Sets travel as they are.
    if (!isPlain(part)) return part;
    const copy = {};
    copies.set(part, copy);
    // A plain assignment to `__proto__` would change the prototype.
    for (const [key, field] of Object.entries(part)) define(copy, key, copyInto(copy, key, field));
    return copy;
  };
  const root: { value: unknown } = { value: null };
  root.value = copyInto(root, 'value', value);

  const isGiven = (view: Uint8Array): boolean => give && view.byteLength === view.buffer.byteLength;
  const block = new ArrayBuffer(views.reduce((sum, view) => sum + (isGiven(view) ? 0 : view.byteLength), 0));
  if (block.byteLength > 0) transfer.add(block);
  let end = 0;
  for (const [index, view] of views.entries()) {
    const at = bytes[index];
    if (at === undefined) continue;
    if (isGiven(view)) {
      transfer.add(view.buffer as ArrayBuffer);
      define(at.holder, at.key, new Uint8Array(view.buffer));
    } else {
      const copy = new Uint8Array(block, end, view.byteLength);
      copy.set(view);
      end += view.byteLength;
      define(at.holder, at.key, copy);
    }
  }
  return { message: { root, bytes }, transfer: [...transfer] };
}

/** Turns a received message into the value again: every byte array is a Buffer. */
export function unpack({ root, bytes }: Packed): unknown {
  for (const { holder, key } of bytes) {
    const view = own(holder as Record<string, Uint8Array>, `${key}`);
    if (view !== undefined) define(holder, key, Buffer.from(view.buffer, view.byteOffset, view.byteLength));
  }
  return root.value;
}

/** An error as plain data. */
export type PackedError =
  | {
      readonly code: AppError['code'];
      readonly detail: string;
      readonly details: AppError['details'];
      readonly retryAfterMs: number | null | undefined;
    }
  | { readonly name: string; readonly message: string; readonly stack: string | undefined };

export function packError(thrown: unknown): PackedError {
  if (thrown instanceof AppError) {
    const { code, message: detail, details, retryAfterMs } = thrown;
    return { code, detail, details, retryAfterMs };
  }
  const { name, message, stack } = ensureError(thrown);
  return { name, message, stack };
}

/** The error again, with its code and its facts. An unexpected error keeps the stack of the thread that threw it. */
export function unpackError(packed: PackedError): Error {
  if ('code' in packed) {
    const { code, detail, details, retryAfterMs } = packed;
    return new AppError(code, detail, details, retryAfterMs === undefined ? {} : { retryAfterMs });
  }
  const error = new Error(packed.message);
  error.name = packed.name;
  if (packed.stack !== undefined) error.stack = packed.stack;
  return error;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function define(holder: object, key: string | number, value: unknown): void {
  Object.defineProperty(holder, key, { value, writable: true, enumerable: true, configurable: true });
}
