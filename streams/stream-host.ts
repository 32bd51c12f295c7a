import type { ServerResponse } from 'node:http';
import type { Backlog, BacklogDeps } from './backlog.ts';
import type { Connection } from './connection.ts';
import type { Feeds } from './feeds.ts';

/** What every open stream is to the process. */
export interface OpenStream {
  readonly user: string;
  readonly connection: Connection;
  readonly backlog: Backlog;
  /** Ends it, because its reader takes nothing. */
  readonly slow: () => void;
}

/** What the streams of a process share; one object, so that each stream is small. */
export interface StreamHost {
  readonly feeds: Feeds;
  readonly backlog: BacklogDeps;
  readonly onClosed: (stream: OpenStream, reason: string) => void;
}

/** The reader has gone, or was answered at its deadline, while its stream was looked up. */
export function isAnswered(response: ServerResponse): boolean {
  return response.headersSent || response.destroyed;
}
