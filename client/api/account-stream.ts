import type { EventSourceMessage } from 'eventsource-parser';
import type { Http } from './http.ts';
import type { LiveOptions } from './server-sent-events.ts';
import { dataOf, liveEvents } from './server-sent-events.ts';
import type { Entry, PendingWelcome, Policy, Role } from './types.ts';

interface In {
  readonly conversation: string;
}

/** What happens to a user's conversations, and to the device itself. */
export type AccountEvent =
  | (In & { readonly type: 'entry'; readonly entry: Entry })
  | (In & MemberChanged)
  /** A Welcome for this device. */
  | (PendingWelcome & { readonly type: 'welcome' })
  | (In & ConversationChanged)
  /** It goes on as another one. */
  | (In & { readonly type: 'reset'; readonly successor: string })
  /** The user is out of it since this entry. */
  | (In & { readonly type: 'removed'; readonly seq: number })
  /** The log no longer reaches back to what this device acknowledged: rejoin. */
  | (In & { readonly type: 'history-truncated'; readonly oldestSeq: number })
  /** Upload key packages. */
  | { readonly type: 'low-stock'; readonly available?: number };

export interface MemberChanged {
  readonly type: 'member';
  readonly seq: number;
  readonly user: string;
  readonly change: 'added' | 'removed' | 'role';
  readonly role?: Role;
}

/** `new` to this user, deleted, another policy, a Welcome that nobody took up, or enough reports for a reset. */
export interface ConversationChanged {
  readonly type: 'conversation';
  readonly change: 'new' | 'deleted' | 'policy' | 'welcome-expired' | 'reset-open';
  readonly seq?: number;
  readonly policy?: Policy;
  /** Whose Welcome expired. */
  readonly user?: string;
  readonly device?: string;
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
