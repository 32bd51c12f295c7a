import type { EventSourceMessage } from 'eventsource-parser';
import type { Http } from './http.ts';
import type { LiveOptions } from './server-sent-events.ts';
import { dataOf, liveEvents } from './server-sent-events.ts';
import type { Entry } from './types.ts';

/** An event of one conversation; `removed` and `reset` are the last event of their stream. */
export type StreamEvent =
  | { readonly type: 'entry'; readonly entry: Entry }
  | { readonly type: 'removed'; readonly seq: number }
  /** The body of the entry `seq` was deleted. */
  | { readonly type: 'deleted'; readonly seq: number }
  /** Retention deleted the next entries: rejoin the group; the stream continues with `oldestSeq`. */
  | { readonly type: 'history-truncated'; readonly oldestSeq: number }
  /** Another conversation, `successor`, took over. */
  | { readonly type: 'reset'; readonly successor: string };

export interface FollowOptions extends LiveOptions {
  /** Start after this entry; `latest`: only with new entries. @default the first entry that the user may read */
  readonly after?: number | 'latest';
}

/**
 * The live log of a conversation, in order and without gaps: a new connection continues after the last entry. Returns when
 * the signal aborts or the user is removed.
 * @throws ProblemError if a retry cannot succeed
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
      if (typeof after === 'number' && event.entry.seq <= after) continue;
      after = event.entry.seq;
    }
    yield event;
    if (event.type === 'removed' || event.type === 'reset') return;
  }
}

/** `undefined`: a newer service has event types that this library does not know. */
function toEvent(message: EventSourceMessage): StreamEvent | undefined {
  const body = dataOf(message);
  switch (message.event) {
    case 'entry':
      return { type: 'entry', entry: body as Entry };
    case 'removed':
    case 'deleted':
    case 'history-truncated':
    case 'reset':
      return { ...(body as object), type: message.event } as StreamEvent;
    default:
      return undefined;
  }
}
