import type { EntryKind, LogEntry } from '../domain/log-entry.ts';

/** The JSON form of a log entry, on pages and on streams (`Entry` in docs/openapi.json). */
export interface EntryJson {
  readonly seq: number;
  readonly kind: EntryKind;
  readonly id?: string;
  readonly epoch: number;
  /** Standard base64. */
  readonly ciphertext?: string;
  readonly sender?: string;
  /** RFC 3339. */
  readonly at?: string;
  /** Retention deleted the bytes: only seq, kind and epoch are left. */
  readonly expired?: true;
}

/** The only place that turns entries into JSON. */
export function entryJson({ seq, kind, id, epoch, ciphertext, sender, at }: LogEntry): EntryJson {
  if (ciphertext === null) return { seq, kind, epoch, expired: true };
  return {
    seq,
    kind,
    id,
    epoch,
    ciphertext: base64(ciphertext),
    ...(sender === null ? {} : { sender }),
    at: at.toISOString(),
  };
}

function base64({ buffer, byteOffset, byteLength }: Uint8Array): string {
  // A view: the bytes are not copied.
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}
