import type pg from 'pg';
import { type EntryRow, readPage, readTail } from '../../store/entries.ts';
import { entryEvent } from './event.ts';
import type { Stream } from './stream.ts';

/** Entries per read: bounds what one reader can have in its buffer. */
const PAGE = 200;

export interface FeedDeps {
  readonly pool: pg.Pool;
  readonly onDelivered: (lagSeconds: number) => void;
  readonly onError: (error: unknown) => void;
}

/**
 * The streams of one conversation in this process. Live ones are fed from one read of the log, however many they are;
 * a stream that is behind reads pages of its own until it is live again.
 */
export class Feed {
  readonly #conversation: string;
  readonly #deps: FeedDeps;
  readonly streams = new Set<Stream>();
  #pumping = false;
  #again = false;

  constructor(conversation: string, deps: FeedDeps) {
    this.#conversation = conversation;
    this.#deps = deps;
  }

  /** Something happened: an entry, a membership change, or the poll thinks so. */
  wake(): void {
    this.#again = true;
    if (this.#pumping) return;
    this.#pumping = true;
    void this.#pump();
  }

  /** Brings a stream up to the end of the log, by pages, and makes it live. */
  async catchUp(stream: Stream): Promise<void> {
    stream.live = false;
    try {
      while (stream.canTake()) {
        const { conversation, user } = stream.target;
        const page = await readPage(this.#deps.pool, conversation, user, stream.cursor, PAGE);
        if (page === undefined) {
          stream.end('removed', {});
          return;
        }
        for (const row of page.entries) {
          // Another look may have brought it meanwhile.
          if (row.seq <= stream.cursor) continue;
          stream.entry(row);
          // Goes on when the reader has taken it.
          if (stream.isFull) return;
        }
        if (page.more) continue;
        if (page.leftSeq !== null) {
          stream.end('removed', { seq: page.leftSeq });
          return;
        }
        // A stream that is behind goes on when its socket drains.
        if (!stream.canTake()) return;
        stream.live = true;
        // What was written since the page was read woke only those who were live then.
        this.wake();
        return;
      }
    } catch (error) {
      // The database is away: the poll wakes the feed again, and the stream with it.
      this.#deps.onError(error);
      stream.live = stream.canTake();
    }
  }

  async #pump(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      try {
        await this.#feed();
      } catch (error) {
        this.#deps.onError(error);
      }
    }
    this.#pumping = false;
  }

  /** One read for all live streams: new entries, and who of the watchers is a member no more, of one snapshot. */
  async #feed(): Promise<void> {
    const live = [...this.streams].filter((stream) => stream.live && stream.canTake());
    if (live.length === 0) return;
    const after = Math.min(...live.map((stream) => stream.cursor));
    const users = [...new Set(live.map((stream) => stream.target.user))];
    const tail = await readTail(this.#deps.pool, this.#conversation, users, after, PAGE);
    if (tail === undefined || tail.deleted) {
      for (const stream of live) stream.end('removed', {});
      return;
    }
    const events = tail.entries.map((row) => ({ row, text: entryEvent(row) }));
    for (const stream of live) {
      if (tail.rejoined.includes(stream.target.user)) void this.catchUp(stream);
      else this.#deliver(stream, events, tail.more, tail.left[stream.target.user]);
    }
    if (tail.more) this.#again = true;
  }

  #deliver(
    stream: Stream,
    events: readonly { row: EntryRow; text: string }[],
    more: boolean,
    leftSeq: number | undefined,
  ): void {
    // It may have begun to catch up while the log was read.
    if (!stream.live) return;
    for (const { row, text } of events) {
      if (row.seq <= stream.cursor) continue;
      if (leftSeq !== undefined && row.seq > leftSeq) break;
      this.#deps.onDelivered((Date.now() - row.at.getTime()) / 1000);
      if (!stream.entry(row, text)) {
        stream.live = false;
        return;
      }
    }
    const complete = !more || stream.cursor === leftSeq;
    if (leftSeq !== undefined && complete) stream.end('removed', { seq: leftSeq });
  }
}
