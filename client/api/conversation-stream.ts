import type { EventSourceMessage } from 'eventsource-parser';
import type { Http } from './http.ts';
import type { LiveOptions } from './server-sent-events.ts';
import { dataOf, liveEvents } from './server-sent-events.ts';
import type { Entry } from './types.ts';

/** What happens in a conversation; `removed` and `reset` are the last event of their stream. */
export type StreamEvent =
  | { readonly type: 'entry'; readonly entry: Entry }
  | { readonly type: 'removed'; readonly seq: number }
  /** The log no longer reaches back to where one was: rejoin, and go on from `oldestSeq`. */
  | { readonly type: 'history-truncated'; readonly oldestSeq: number }
  /** The conversation goes on as another one. */
  | { readonly type: 'reset'; readonly successor: string };

export interface FollowOptions extends LiveOptions {
  /** Start behind this entry, or with what comes from now on. @default the first entry one may read */
  readonly after?: number | 'latest';
}

/**
 * The live log of a conversation, gap-free and in order: whenever the connection ends it goes on after the last entry it
 * gave. Ends when the signal aborts or one is removed; throws a {@link ProblemError} that no retry would mend.
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

function toEvent(message: EventSourceMessage): StreamEvent | undefined {
  const body = dataOf(message);
  switch (message.event) {
    case 'entry':
      return { type: 'entry', entry: body as Entry };
    case 'removed':
    case 'history-truncated':
    case 'reset':
      return { ...(body as object), type: message.event } as StreamEvent;
    default:
      return undefined; // a newer service may tell more
  }
}
