import type { ServerResponse } from 'node:http';
import type { Backlog, BacklogDeps } from './backlog.ts';
import type { Connection } from './connection.ts';
import type { Feeds } from './feeds.ts';

/** What the hub sees of every open stream. */
export interface OpenStream {
  readonly user: string;
  /** Whether an operator has removed its user or device from everywhere. */
  readonly isCutOff: () => boolean;
  readonly connection: Connection;
  readonly backlog: Backlog;
  /** Ends the stream with `slow-consumer`. */
  readonly endSlow: () => void;
}

/** What streams see of the hub. One object for all streams of the process, so that each stream stays small. */
export interface StreamHost {
  readonly feeds: Feeds;
  readonly backlog: BacklogDeps;
  /** How long a reader should wait before it comes back, in milliseconds. Each time another value. */
  readonly retryMs: () => number;
  readonly onClosed: (stream: OpenStream, reason: string) => void;
  /** Checks whether the user is a member of the conversation (again); if so, its account streams follow it. */
  readonly checkMembership: (user: string, conversation: string) => void;
}

/** The request has ended already: its client left, or it was answered at its deadline. */
export function isAnswered(response: ServerResponse): boolean {
  return response.headersSent || response.destroyed;
}
