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
  /** The sender or an admin deleted the bytes: the same is left. */
  readonly deleted?: true;
  /** Of the bytes, lower-case hex; only where the bytes are not there. */
  readonly sha256?: string;
  /** Value of the chain over the log up to this entry, standard base64. Absent: the entry is older than the chain. */
  readonly chain?: string;
  /** Value before this entry; of an entry that begins a block. */
  readonly chainBefore?: string;
}

/** The only place that turns entries into JSON. */
export function entryJson(entry: LogEntry): EntryJson {
  const { seq, kind, id, epoch, ciphertext, sender, at, sha256, chain, chainBefore, isDeleted } = entry;
  const chained = {
    ...(chain === null ? {} : { chain: base64(chain) }),
    ...(chainBefore === undefined ? {} : { chainBefore: base64(chainBefore) }),
  };
  if (ciphertext === null) {
    const reason = isDeleted ? ({ deleted: true } as const) : ({ expired: true } as const);
    return { seq, kind, epoch, ...reason, sha256: Buffer.from(sha256).toString('hex'), ...chained };
  }
  return {
    seq,
    kind,
    id,
    epoch,
    ciphertext: base64(ciphertext),
    ...(sender === null ? {} : { sender }),
    at: at.toISOString(),
    ...chained,
  };
}

function base64({ buffer, byteOffset, byteLength }: Uint8Array): string {
  // A view: the bytes are not copied.
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}
