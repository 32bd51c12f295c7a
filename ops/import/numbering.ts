import type { Place } from './stays.ts';

/** What is known of the messages of a conversation before they are read. Counts of rows that are carried. */
export interface LogFacts {
  readonly messages: number;
  readonly commits: number;
  /** Epochs in the rows of commits: of the first one, and how many different ones. 0 = no commits. */
  readonly firstCommitEpoch: number;
  readonly currentEpoch: number;
}

/** A message as far as its numbers go. */
export interface Numbered {
  readonly isCommit: boolean;
  /** The original's epoch: of a commit the one that it starts, of a message the one that it was sent in. */
  readonly epoch: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** The numbers that Parley gives. */
export interface EntryNumbers {
  readonly seq: number;
  /** Of a commit the epoch that it ends. */
  readonly epoch: number;
  readonly appCount: number;
  readonly at: number;
  /** The message is older than the window allows, or of an epoch that had not begun: its epoch was moved into the window. */
  readonly isMoved: boolean;
}

/** Gives numbers to the messages of a conversation, in their order. */
export interface Numbering {
  readonly next: (message: Numbered) => EntryNumbers;
  /** What the log holds now. */
  readonly place: () => Place;
  readonly lastAt: () => number;
}

/** The epoch of the conversation after its last commit: the original's, or more if it had more commits than epochs. */
export function finalEpoch({ commits, currentEpoch }: Pick<LogFacts, 'commits' | 'currentEpoch'>): number {
  return Math.max(currentEpoch, commits);
}

/**
 * Numbers that keep the invariants: seq is dense from 1, each commit ends one epoch, and a message belongs to one of the newest epochs.
 * The last commit starts the original's current epoch, so that clients find the epoch that they know. Times never run backwards.
 * @param window epochs that a message may be behind
 */
export function makeNumbering(facts: LogFacts, window: number): Numbering {
  let seq = 0;
  let commitSeq = 0;
  let count = 0;
  let lastAt = 0;
  const base = finalEpoch(facts) - facts.commits;
  let epoch = base;
  let originalEpoch = facts.commits === 0 ? facts.currentEpoch : Math.max(0, facts.firstCommitEpoch - 1);
  return {
    lastAt: () => lastAt,
    place: () => ({ seq, commitSeq, epoch, count }),
    next: (message) => {
      seq++;
      lastAt = Math.max(lastAt, message.at);
      if (message.isCommit) {
        commitSeq = seq;
        originalEpoch = Math.max(originalEpoch, message.epoch);
        return { seq, epoch: epoch++, appCount: count, at: lastAt, isMoved: false };
      }
      count++;
      const behind = originalEpoch - message.epoch;
      const kept = Math.min(Math.max(behind, 0), window, epoch);
      return { seq, epoch: epoch - kept, appCount: count, at: lastAt, isMoved: kept !== behind };
    },
  };
}
