/** Content types of log entries (RFC 9420 §6, `ContentType`). */
export const ENTRY_KINDS = ['application', 'commit', 'proposal'] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];

/**
 * One entry of a conversation's log. The only shape of a stored message between Postgres and the JSON text that pages and
 * streams send.
 */
export interface LogEntry {
  /** Place in the log, from 1, without gaps (invariant 1). */
  readonly seq: number;
  readonly kind: EntryKind;
  /** Id that the sender gave to the message or commit. */
  readonly id: string;
  /** Epoch of the frame. For a commit: the epoch that the commit ends. */
  readonly epoch: number;
  /**
   * The MLSMessage, or the bytes of an opaque conversation. `null`: they are gone. Retention took them; or, if `isDeleted`, their sender
   * or an admin deleted them.
   */
  readonly ciphertext: Uint8Array | null;
  readonly isDeleted: boolean;
  /** User id. `null`: not stored, because the frame hides the sender from the service. */
  readonly sender: string | null;
  /** When the entry was accepted, by the clock of Postgres. */
  readonly at: Date;
  /** SHA-256 of the bytes, 32 bytes; also of bytes that are gone. */
  readonly sha256: Uint8Array;
  /** Value of the chain over the log up to this entry, 32 bytes. `null`: the entry is older than the chain. */
  readonly chain: Uint8Array | null;
  /** Value before this entry; only of an entry that begins a block of a read, and where there is one. */
  readonly chainBefore?: Uint8Array;
}
