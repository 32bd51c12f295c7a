import type { Cursor, Stay } from '../store/log/stream-reads.ts';
import type { AddressedWelcome } from '../store/device/device-streams.ts';
import type { Item } from './stream-item.ts';

/**
 * One stream's part in one conversation. A live one is fed with what the process reads once for all; one that is behind
 * reads for itself. It is told everything in order, and never skips.
 */
export interface Subscription extends Cursor {
  readonly conversation: string;
  readonly user: string;
  /** Set when Welcomes are told. */
  readonly device: string | undefined;
  /** The end of reading ends the whole stream, which must not wait for a reader that does not keep up (invariant 8). */
  readonly endsWithMembership: boolean;
  live: boolean;
  /** The stream is open, and its reader keeps up. */
  readonly isReady: boolean;
  readonly isBlocked: boolean;
  readonly isFull: boolean;
  /** The next item: writes it, and moves the cursor. */
  readonly take: (item: Item) => void;
  readonly takeWelcome: (welcome: AddressedWelcome) => void;
  /** What comes next belongs to this stay of the user. */
  readonly enter: (stay: Stay, protocol: 'mls' | 'opaque') => void;
  /** It is at the end of the log. */
  readonly atEnd: (lastSeq: number) => void;
  /** Entries that come next are gone. @returns false when it ends with that */
  readonly truncated: (oldestSeq: number) => boolean;
  /** It was told everything that its user may read. */
  readonly removed: (seq: number) => void;
  /** Its conversation is deleted. */
  readonly deleted: () => void;
  /** Its user lost the conversation, and its reader does not keep up. */
  readonly cut: () => void;
  /** It must read for itself from here on. */
  readonly fallBehind: () => void;
}
