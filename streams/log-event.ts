import { MAX_MEMBER_EVENTS } from '../domain/limits.ts';
import type { LogEntry } from '../domain/log-entry.ts';
import { type Position, formatPosition, positionAt } from '../domain/position.ts';
import type { Change } from '../store/log/changes.ts';
import type { LogItem } from '../store/log/log-items.ts';
import { entryJson } from './entry-json.ts';
import { event } from './event.ts';

/** A log item as streams send it. Each text is made once, at its first use: one entry may go to thousands of streams. */
export class LogEvent {
  readonly item: LogItem;
  readonly #conversation: string;
  /** After an entry. */
  readonly #position: Position | undefined;
  #forConversation: string | undefined;
  #forAccount: string | undefined;
  #entryText: string | undefined;
  #removed: ReadonlySet<string> | undefined;

  constructor(conversation: string, item: LogItem) {
    this.#conversation = conversation;
    this.item = item;
    this.#position = item.type === 'entry' ? positionAt(item.seq, item.entry.chain) : undefined;
  }

  /** Of an entry: the log up to it. */
  get mark(): string | undefined {
    return this.#position?.mark;
  }

  /** Text for the stream of one conversation: an entry, with its position as the id to resume from. Of changes only deleted bodies. */
  get forConversation(): string {
    return (this.#forConversation ??= this.#makeForConversation());
  }

  /** Text for account streams: an entry, or the events of a change. */
  get forAccount(): string {
    return (this.#forAccount ??= this.#makeForAccount());
  }

  /** Whether it is a change that removes this user. Thousands of streams may ask about a change that names thousands. */
  removes(user: string): boolean {
    const { item } = this;
    if (item.type !== 'change' || item.change.kind !== 'removed') return false;
    this.#removed ??= new Set(item.change.users);
    return this.#removed.has(user);
  }

  #makeForConversation(): string {
    const { item } = this;
    if (item.type === 'change') {
      return item.change.kind === 'body-deleted' ? event('deleted', { seq: item.change.entry }) : '';
    }
    if (this.#position === undefined) return '';
    return `event: entry\nid: ${formatPosition(this.#position)}\ndata: ${this.#textOf(item.entry)}\n\n`;
  }

  #makeForAccount(): string {
    const { item } = this;
    if (item.type === 'change') return changeEvents(this.#conversation, item.seq, item.change);
    // Conversation ids are base64url: they need no escaping in JSON.
    return `event: entry\ndata: {"conversation":"${this.#conversation}","entry":${this.#textOf(item.entry)}}\n\n`;
  }

  #textOf(entry: LogEntry): string {
    return (this.#entryText ??= JSON.stringify(entryJson(entry)));
  }
}

/**
 * The events of a change: one for each user who was added or removed, otherwise one. Of many users there is one event with
 * their number, so that nobody makes thousands of events on each stream by one request.
 */
function changeEvents(conversation: string, seq: number, change: Change): string {
  switch (change.kind) {
    case 'added':
    case 'removed':
      if (change.count > MAX_MEMBER_EVENTS) {
        const url = `/v1/conversations/${conversation}/members`;
        return event('members', { conversation, seq, change: change.kind, count: change.count, url });
      }
      return change.users.map((user) => event('member', { conversation, seq, user, change: change.kind })).join('');
    case 'role':
      return event('member', { conversation, seq, user: change.user, change: 'role', role: change.role });
    case 'removal-wanted': {
      const { kind, ...whose } = change;
      return event(kind, { conversation, seq, ...whose });
    }
    case 'body-deleted':
      return event('deleted', { conversation, seq: change.entry });
    case 'superseded':
      return event('reset', { conversation, successor: change.successor });
    case 'policy':
    case 'welcome-expired':
    case 'reset-open': {
      const { kind, ...data } = change;
      return event('conversation', { conversation, change: kind, seq, ...data });
    }
    case 'unknown':
      return '';
  }
}
