import type { EventSourceMessage } from 'eventsource-parser';
import { spend } from '../../harness/wait-until.ts';
import { type StreamConnection, openConnection } from './connection.ts';

/** Keeps a stream open: when a connection ends, it opens the next one, at the next API process. */
export interface Follower {
  readonly pause: () => void;
  readonly resume: () => void;
  readonly reconnects: () => number;
  readonly stop: () => void;
}

export interface FollowerOptions {
  /** Address and headers of the next connection. */
  readonly next: () => Promise<{ readonly url: URL; readonly headers: Readonly<Record<string, string>> }>;
  /** A new connection begins. */
  readonly onOpen: () => void;
  readonly onEvent: (event: EventSourceMessage) => void;
  /** @returns true when this status is the right end of the stream */
  readonly isEnd: (status: number) => boolean;
}

const PAUSE_MS = 200;

export function startFollower({ next, onOpen, onEvent, isEnd }: FollowerOptions): Follower {
  let connection: StreamConnection | undefined;
  let isStopped = false;
  let isPaused = false;
  let reconnects = -1;
  const run = async (): Promise<void> => {
    while (!isStopped) {
      const { url, headers } = await next();
      reconnects++;
      onOpen();
      connection = openConnection(url, headers, onEvent);
      if (isPaused) connection.pause();
      const why = await connection.ended;
      if (typeof why === 'number' && isEnd(why)) return;
      await spend(PAUSE_MS);
    }
  };
  void run();
  return {
    pause: () => {
      isPaused = true;
      connection?.pause();
    },
    resume: () => {
      isPaused = false;
      connection?.resume();
    },
    reconnects: () => Math.max(0, reconnects),
    stop: () => {
      isStopped = true;
      connection?.close();
    },
  };
}
