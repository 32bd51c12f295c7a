import type { EventSourceMessage } from 'eventsource-parser';
import type { Http } from './http.ts';
import type { LiveOptions } from './server-sent-events.ts';
import { dataOf, liveEvents } from './server-sent-events.ts';
import type { Entry } from './types.ts';

/** An event of one conversation; `removed`, `log-restarted` and `reset` are the last event of their stream. */
export type StreamEvent =
  | { readonly type: 'entry'; readonly entry: Entry }
  | { readonly type: 'removed'; readonly seq: number }
  /** The body of the entry `seq` was deleted. */
  | { readonly type: 'deleted'; readonly seq: number }
  /** Retention deleted the next entries: rejoin the group; the stream continues with `oldestSeq`. */
  | { readonly type: 'history-truncated'; readonly oldestSeq: number }
  /** Somebody sent a signal. In an opaque conversation the service names the sender. */
  | { readonly type: 'signal'; readonly data: string; readonly sender?: string }
  /** The service lost the end of the log that this stream had delivered: it was restored to an older state. */
  | { readonly type: 'log-restarted'; readonly lastSeq: number; readonly oldestSeq: number }
  /** Another conversation, `successor`, took over. */
  | { readonly type: 'reset'; readonly successor: string };

/** How to follow one conversation. */
export interface FollowOptions extends LiveOptions {
  /**
   * Start after this position, or this `seq`; `latest`: only with new entries. Only for a position the service says whether the log goes
   * on from there. @default the first entry that the user may read
   */
  readonly after?: number | string;
}

/** The last events of a stream. */
const ENDS: readonly StreamEvent['type'][] = ['removed', 'log-restarted', 'reset'];

/**
 * The live log of a conversation, in order and without gaps: a new connection continues after the position of the last entry.
 * Returns when the signal aborts, the user is removed, or the log does not go on from there.
 * @throws ProblemError if a retry cannot succeed; `log-restarted` if the log does not go on from the first position
 */
export async function* follow(
  http: Http,
  conversation: string,
  options: FollowOptions = {},
): AsyncGenerator<StreamEvent, void, void> {
  const path = `/v1/conversations/${encodeURIComponent(conversation)}/events`;
  let { after } = options;
  for await (const message of liveEvents(http, path, () => ({ after }), options)) {
    const event = toEvent(message);
    if (event === undefined) continue;
    if (event.type === 'entry') {
      // `latest` has no seq, and is no limit.
      if (event.entry.seq <= Number.parseInt(String(after), 10)) continue;
      after = message.id ?? event.entry.seq;
    }
    yield event;
    if (ENDS.includes(event.type)) return;
  }
}

/** `undefined`: a newer service has event types that this library does not know. */
function toEvent(message: EventSourceMessage): StreamEvent | undefined {
  const body = dataOf(message);
  switch (message.event) {
    case 'entry':
      return { type: 'entry', entry: body as Entry };
    case 'signal':
    case 'removed':
    case 'deleted':
    case 'history-truncated':
    case 'log-restarted':
    case 'reset':
      return { ...(body as object), type: message.event } as StreamEvent;
    default:
      return undefined;
  }
}
