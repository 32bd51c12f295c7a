import type { ChainPosition } from './position.ts';

/** The service gave an entry that does not follow from the log before it. The device processes nothing from there on. */
export interface LogAltered {
  readonly type: 'log-altered';
  /** The entry whose value is wrong. */
  readonly seq: number;
  /** The value that follows from what this device has read. */
  readonly computed: string;
  /** The value that the service gave. */
  readonly given: string;
}

/** What an authentic message of another device says about the log. */
interface Stated {
  /** `seq` of the message. */
  readonly seq: number;
  /** Epoch of the message, and the leaf and user that sent it in this epoch. */
  readonly epoch: number;
  readonly leaf: number;
  readonly user: string;
  /** The position that its sender had read and verified. */
  readonly theirs: ChainPosition;
}

/**
 * The sender has read another log than this device: the service shows different logs, or the sender lies. Told once for each
 * leaf and epoch.
 */
export interface ForkSuspected extends Stated {
  readonly type: 'fork-suspected';
  /** The position of this device at the same `seq`; absent if it had not read so far, as the message is before it in the log. */
  readonly mine?: ChainPosition;
}

/** The sender had read a branch of the log that is known to be lost. */
export interface StaleBranch extends Stated {
  readonly type: 'stale-branch';
}

/**
 * The service lost the end of the log: its database was restored to an older state. The device repairs the group by itself
 * (docs/explanation/after-a-restore.md). Messages that it has shown stay in `history`, with the mark `lost`.
 */
export interface LogRestarted {
  readonly type: 'log-restarted';
  /** `seq` of the last entry that the device and the log have in common. */
  readonly agreed: number;
  /** Number of messages that this device has shown and that the log does not have any more. */
  readonly messages: number;
  /** A commit that this device followed is lost: it has no state of the group until it has joined again. */
  readonly isDead: boolean;
}

/** A lost message is in the log again, because its sender sent it again: the message in `history` has the new `seq`. */
export interface MessageFound {
  readonly type: 'message-found';
  readonly seq: number;
  /** The `seq` that it had before. */
  readonly lostSeq: number;
}

/** What a device finds out about the log of a group. */
export type LogEvent = LogAltered | LogRestarted | MessageFound | ForkSuspected | StaleBranch;
