import type { EventSourceMessage } from 'eventsource-parser';
import type { Http } from './http.ts';
import type { LiveOptions } from './server-sent-events.ts';
import { dataOf, liveEvents } from './server-sent-events.ts';
import type { Entry, MemberRole, PendingWelcome, Policy } from './types.ts';

/** Where an event is. */
export interface InConversation {
  /** Conversation id. */
  readonly conversation: string;
}

/** An event in one of the user's conversations, or about the device itself. */
export type AccountEvent =
  | (InConversation & { readonly type: 'entry'; readonly entry: Entry })
  | (InConversation & MemberChanged)
  | (InConversation & ManyMembersChanged)
  /** A Welcome for this device. */
  | (PendingWelcome & { readonly type: 'welcome' })
  | (InConversation & ConversationChanged)
  /** Another conversation, `successor`, took over. */
  | (InConversation & { readonly type: 'reset'; readonly successor: string })
  /** The entry `seq` removed the user. */
  | (InConversation & { readonly type: 'removed'; readonly seq: number })
  /** The log does not go on from what this device acknowledged: the service was restored. A new stream continues with the group. */
  | (InConversation & { readonly type: 'log-restarted'; readonly lastSeq: number; readonly oldestSeq: number })
  /** Retention deleted entries that this device has not acknowledged: the device has to rejoin the group. */
  | (InConversation & { readonly type: 'history-truncated'; readonly oldestSeq: number })
  /** The body of the entry `seq` was deleted: the app drops what it shows of it. */
  | (InConversation & { readonly type: 'deleted'; readonly seq: number })
  /** The user has read up to `seq`, on whichever device; `unread` messages follow. */
  | (InConversation & { readonly type: 'read'; readonly seq: number; readonly unread: number })
  /** The first event of each connection, and whenever it changes: then the service lost what its backup does not have. */
  | { readonly type: 'service'; readonly incarnation: string }
  /** Somebody sent a signal. In an opaque conversation the service names the sender. */
  | (InConversation & { readonly type: 'signal'; readonly data: string; readonly sender?: string })
  /** The service holds few key packages of this device: upload more. */
  | { readonly type: 'low-stock'; readonly available?: number };

/** One user was added or removed, or has another role. */
export interface MemberChanged {
  readonly type: 'member';
  readonly seq: number;
  readonly user: string;
  readonly change: 'added' | 'removed' | 'role';
  readonly role?: MemberRole;
}

/** Many users were added or removed by one entry: in place of an event for each. */
export interface ManyMembersChanged {
  readonly type: 'members';
  readonly seq: number;
  readonly change: 'added' | 'removed';
  /** Number of users. */
  readonly count: number;
  /** Path of the list of members. */
  readonly url: string;
}

/**
 * `new`: the user is a member from now on. `welcome-expired`: a device did not join in time. `reset-open`: enough members
 * reported an entry, so any proven member may reset the conversation. `several`: so much changed since the acknowledged entry that
 * one event stands for all of it: read the conversation and its members again; its groups look for deleted messages themselves.
 */
export interface ConversationChanged {
  readonly type: 'conversation';
  readonly change: 'new' | 'deleted' | 'policy' | 'several' | 'welcome-expired' | 'reset-open';
  readonly seq?: number;
  readonly policy?: Policy;
  /** The user whose Welcome expired. */
  readonly user?: string;
  readonly device?: string;
  /** In place of user and device: so many Welcomes expired at once. */
  readonly count?: number;
}

/** How to follow all conversations. */
export type FollowAllOptions = LiveOptions;

const TYPES: readonly string[] = [
  'entry',
  'member',
  'members',
  'welcome',
  'conversation',
  'reset',
  'removed',
  'log-restarted',
  'history-truncated',
  'deleted',
  'read',
  'signal',
  'low-stock',
  'service',
] satisfies readonly AccountEvent['type'][];

/**
 * One stream for all conversations of the calling device, in log order within each conversation. The stream starts after the
 * entries that the device acknowledged, connects again by itself, and yields no entry twice. A new process gets again the
 * entries that the last process did not acknowledge. Returns when the signal aborts or a newer stream of the same device
 * replaces this one.
 */
export async function* followAll(http: Http, options: FollowAllOptions = {}): AsyncGenerator<AccountEvent, void, void> {
  const seen = new SeenEntries();
  for await (const message of liveEvents(http, '/v1/events', () => ({}), options)) {
    if (message.event === 'replaced') return;
    const event = toEvent(message);
    if (event === undefined) continue;
    if (event.type === 'entry' && seen.has(event.conversation, event.entry)) continue;
    yield event;
  }
}

/** Values of the chain that are kept of each conversation. A stream repeats no more than a device leaves unacknowledged. */
const KEPT = 256;

/** The entries of a stream. One that comes again is known by its value of the chain: after a restore, a `seq` comes again too. */
class SeenEntries {
  readonly #conversations = new Map<string, { last: number; readonly chains: Map<number, string | undefined> }>();

  /** Was it yielded before? Else it counts as yielded from now on. */
  has(conversation: string, { seq, chain }: Pick<Entry, 'seq' | 'chain'>): boolean {
    const known = this.#conversations.get(conversation) ?? { last: 0, chains: new Map<number, string | undefined>() };
    if (seq <= known.last && (!known.chains.has(seq) || known.chains.get(seq) === chain)) return true;
    for (const later of known.chains.keys()) if (later > seq) known.chains.delete(later);
    known.chains.set(seq, chain);
    const [oldest] = known.chains.keys();
    if (known.chains.size > KEPT && oldest !== undefined) known.chains.delete(oldest);
    known.last = seq;
    this.#conversations.set(conversation, known);
    return false;
  }
}

/** `undefined`: a newer service has event types that this library does not know. */
function toEvent(message: EventSourceMessage): AccountEvent | undefined {
  if (message.event === undefined || !TYPES.includes(message.event)) return undefined;
  return { ...(dataOf(message) as object), type: message.event } as AccountEvent;
}
