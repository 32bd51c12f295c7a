import type { AddressedWelcome } from '../store/device/device-streams.ts';
import type { Position } from '../domain/position.ts';
import type { Cursor } from '../store/log/log-items.ts';
import type { ReadState } from '../store/log/unread.ts';
import type { LogEvent } from './log-event.ts';
import type { SignalBatch } from './signal-batch.ts';

/** Last entry of a log, and the oldest kept one. */
export interface LogEnds {
  readonly lastSeq: number;
  readonly oldestSeq: number;
}

/**
 * One conversation on one stream. Its cursor (`seq`, `key`) says what was delivered; it delivers every item in order and
 * skips none (invariant 5). A live subscription gets its items from the feed of the conversation, which reads once for
 * all. One that is behind reads for itself, in the backlog of its stream.
 */
export interface Subscription extends Cursor {
  readonly conversation: string;
  readonly user: string;
  /** Set when the stream delivers Welcomes. */
  readonly device: string | undefined;
  /**
   * The whole stream ends when its user loses the conversation. It must then end within 2 s, even when its reader is
   * blocked (invariant 8).
   */
  readonly endsWithMembership: boolean;
  live: boolean;
  /** The read mark of its user that it has told; null = it tells none. */
  readonly readMark: string | null;
  /** The stream is open, and its reader keeps up. */
  readonly isReady: boolean;
  /** Its reader has not yet taken what was written. */
  readonly isBlocked: boolean;
  /** So much waits for its reader that nothing more may be written. */
  readonly isFull: boolean;
  /** Writes the next item, and moves the cursor after it. */
  readonly deliver: (event: LogEvent) => void;
  readonly deliverWelcome: (welcome: AddressedWelcome) => void;
  /** Another device has moved the read mark of its user, or this one. */
  readonly tellRead: (read: ReadState) => void;
  /** Writes signals. They do not move the cursor. */
  readonly deliverSignals: (signals: SignalBatch) => void;
  /** The next items belong to the membership interval that begins with this entry. */
  readonly enterInterval: (startSeq: number, protocol: 'mls' | 'opaque') => void;
  /** Everything up to the end of the log is delivered. */
  readonly reachEnd: (end: Position) => void;
  /** The next entries were deleted. @returns whether the subscription continues, with the oldest kept entry */
  readonly skipDeleted: (oldestSeq: number) => boolean;
  /** Its user is a former member, and everything that the user may read is delivered. */
  readonly removed: (seq: number) => void;
  /** The log does not go on from its cursor. The reader may read these entries of the one that there is now. */
  readonly restarted: (ends: LogEnds) => void;
  /** The conversation was deleted. */
  readonly deleted: () => void;
  /** Its user lost the conversation while its reader is blocked. */
  readonly lostWhileBlocked: () => void;
  /** From now on it reads for itself, until it is live again. */
  readonly fallBehind: () => void;
}
