import type { IncarnationWatch } from '../store/process/incarnation-watch.ts';
import type { Connection } from './connection.ts';

/** A stream that is recorded in the database. */
export interface RecordedStream {
  readonly connection: Pick<Connection, 'end'>;
  /** The incarnation in which it was recorded; undefined = not known. */
  readonly openedIn: string | undefined;
}

/**
 * Ends streams that are not in the database any more. Usually a newer stream replaced them. A restored database does not know the
 * streams that were opened since: nothing replaced these, so their readers must come back.
 */
export async function endUnknown(
  incarnation: Pick<IncarnationWatch, 'current' | 'refresh'>,
  streams: readonly RecordedStream[],
): Promise<void> {
  if (streams.length === 0) return;
  await incarnation.refresh();
  for (const { connection, openedIn } of streams) {
    const wentBack = openedIn !== undefined && openedIn !== incarnation.current();
    connection.end(wentBack ? 'reconnect' : 'replaced');
  }
}
