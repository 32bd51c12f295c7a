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

/** What a device finds out about the log of a group. */
export type LogEvent = LogAltered | ForkSuspected | StaleBranch;
