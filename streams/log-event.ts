import type { ChangeRow } from '../store/log/changes.ts';
import type { Cursor, LogItem } from '../store/log/stream-reads.ts';
import { entryJson, event } from './event.ts';

/** An entry or change on its way to streams. Its text is made once, however many take it. */
export class Item implements Cursor {
  readonly seq: number;
  readonly key: number;
  readonly log: LogItem;
  readonly #conversation: string;
  #entry: string | undefined;
  #forConversation: string | undefined;
  #forAccount: string | undefined;

  constructor(conversation: string, log: LogItem) {
    this.seq = log.seq;
    this.key = log.key;
    this.log = log;
    this.#conversation = conversation;
  }

  isAfter({ seq, key }: Cursor): boolean {
    return this.seq > seq || (this.seq === seq && this.key > key);
  }

  /** On the stream of its conversation: an entry with its seq as the id to resume from; changes are not told there. */
  get forConversation(): string {
    return (this.#forConversation ??=
      this.log.entry === undefined ? '' : `event: entry\nid: ${this.seq}\ndata: ${this.#entryText()}\n\n`);
  }

  /** On account streams. The id of a conversation needs no escaping. */
  get forAccount(): string {
    return (this.#forAccount ??=
      this.log.entry === undefined
        ? changeEvents(this.#conversation, this.log.change)
        : `event: entry\ndata: {"conversation":"${this.#conversation}","entry":${this.#entryText()}}\n\n`);
  }

  #entryText(): string {
    return (this.#entry ??= this.log.entry === undefined ? '' : JSON.stringify(entryJson(this.log.entry)));
  }
}

/** A change as account streams tell it: one event for each user who was added or removed, else one. */
function changeEvents(conversation: string, row: ChangeRow): string {
  const { seq } = row;
  switch (row.kind) {
    case 'added':
    case 'removed':
      return row.data.users.map((user) => event('member', { conversation, seq, user, change: row.kind })).join('');
    case 'role':
      return event('member', { conversation, seq, user: row.data.user, change: 'role', role: row.data.role });
    case 'superseded':
      return event('reset', { conversation, successor: row.data.successor });
    case 'policy':
    case 'welcome-expired':
    case 'reset-open':
      return event('conversation', { conversation, change: row.kind, seq, ...row.data });
    default:
      // Of a newer version of the service: this one has no words for it.
      return '';
  }
}
