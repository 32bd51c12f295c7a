import type { EventSourceMessage } from 'eventsource-parser';
import type { Http } from './http.ts';
import type { LiveOptions } from './sse.ts';
import { dataOf, liveEvents } from './sse.ts';
import type { Entry, Policy, Role } from './types.ts';

interface In {
  readonly conversation: string;
}

/** What happens to a user's conversations, and to the device itself. */
export type AccountEvent =
  | (In & { readonly type: 'entry'; readonly entry: Entry })
  | (In & { readonly type: 'member'; readonly seq: number } & MemberChange)
  /** A Welcome waits for this device. */
  | (In & { readonly type: 'welcome'; readonly seq: number })
  /** One was added to it, or its policy changed. */
  | (In & { readonly type: 'conversation'; readonly change: string; readonly policy?: Policy })
  /** Enough members reported that they are stuck, or (with `successor`) it goes on as another one. */
  | (In & { readonly type: 'reset'; readonly successor?: string })
  | (In & { readonly type: 'removed'; readonly seq: number })
  /** The log no longer reaches back to what this device acknowledged: rejoin. */
  | (In & { readonly type: 'history-truncated'; readonly oldestSeq: number })
  /** Upload key packages. */
  | { readonly type: 'low-stock'; readonly available?: number };

export interface MemberChange {
  readonly added?: readonly string[];
  readonly removed?: readonly string[];
  readonly user?: string;
  readonly role?: Role;
}

export type FollowAllOptions = LiveOptions;

const TYPES: readonly string[] = [
  'entry',
  'member',
  'welcome',
  'conversation',
  'reset',
  'removed',
  'history-truncated',
  'low-stock',
] satisfies readonly AccountEvent['type'][];

/**
 * One stream for all conversations of the calling device, in order within each. It starts behind what the device
 * acknowledged, connects again by itself, and gives no entry twice; what was given but not acknowledged before the process
 * ended comes again in the next. Ends when the signal aborts or a newer stream of the same device takes over.
 */
export async function* followAll(http: Http, options: FollowAllOptions = {}): AsyncGenerator<AccountEvent, void, void> {
  const given = new Map<string, number>();
  for await (const message of liveEvents(http, '/v1/events', () => ({}), options)) {
    if (message.event === 'replaced') return;
    const event = toEvent(message);
    if (event === undefined) continue;
    if (event.type === 'entry') {
      if (event.entry.seq <= (given.get(event.conversation) ?? 0)) continue;
      given.set(event.conversation, event.entry.seq);
    }
    yield event;
  }
}

function toEvent(message: EventSourceMessage): AccountEvent | undefined {
  if (message.event === undefined || !TYPES.includes(message.event)) return undefined; // a newer service may tell more
  return { ...(dataOf(message) as object), type: message.event } as AccountEvent;
}
