import type { EntryRow } from '../store/log/entries.ts';

/** Server-sent events (WHATWG HTML, event streams). */

export type StreamEvent =
  | 'entry'
  | 'member'
  | 'welcome'
  | 'conversation'
  | 'removed'
  | 'reset'
  | 'history-truncated'
  | 'low-stock'
  | 'slow-consumer'
  | 'reconnect'
  | 'replaced';

/** An entry as pages and streams show it; bytes as standard base64. */
export interface EntryJson {
  readonly seq: number;
  readonly kind: EntryRow['kind'];
  readonly id?: string;
  readonly epoch: number;
  readonly ciphertext?: string;
  readonly sender?: string;
  readonly at?: string;
  /** The body is past its retention; only seq, kind and epoch are left. */
  readonly expired?: true;
}

/** The JSON form of a log entry (design §7). */
export function entryJson(row: EntryRow): EntryJson {
  if (row.ciphertext === null) return { seq: row.seq, kind: row.kind, epoch: row.epoch, expired: true };
  return {
    seq: row.seq,
    kind: row.kind,
    id: row.id,
    epoch: row.epoch,
    ciphertext: row.ciphertext.toString('base64'),
    ...(row.sender === null ? {} : { sender: row.sender }),
    at: row.at.toISOString(),
  };
}

/** An event. JSON has no raw line breaks, so one data line is enough. */
export function event(name: StreamEvent, data: Readonly<Record<string, unknown>> = {}): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

export const HEARTBEAT = ': \n\n';
