import { pick } from './pick.ts';

/** A request of a client, and its answer. */
export interface Attempt {
  readonly id: string;
  readonly kind: 'message' | 'commit' | 'add' | 'remove';
  readonly user: string;
  /** Base64. Empty for membership changes without a commit. */
  readonly ciphertext: string;
  /** Position in the order of the requests. */
  readonly order: number;
  readonly acknowledge: (seq: number, epoch: number) => void;
  seq?: number;
  /** Epoch of the entry. For a commit it is the epoch that the commit ends. */
  epoch?: number;
}

/** The knowledge of the clients about one conversation. */
export interface Book {
  readonly attempts: ReadonlyMap<string, Attempt>;
  readonly attempt: (id: string, what: Pick<Attempt, 'kind' | 'user' | 'ciphertext'>) => Attempt;
  readonly anyMessageOf: (user: string) => Attempt | undefined;
  readonly newGuest: () => string;
  /** Takes a guest that nobody else removes. */
  readonly takeGuest: () => string | undefined;
  readonly joined: (guest: string) => void;
  readonly left: (guest: string) => void;
  readonly incremented: (by: number, isAcknowledged: boolean) => void;
  readonly members: ReadonlySet<string>;
  readonly increments: { acknowledged: number; unknown: number };
}

export interface Ledger {
  /** A member of every conversation who never sends or reads, so its unread count covers all messages. */
  readonly lurker: string;
  readonly open: (conversation: string, members: readonly string[]) => void;
  readonly of: (conversation: string) => Book;
  readonly conversations: () => string[];
  /** Contradictory answers for the same id. */
  readonly contradictions: readonly string[];
}

export function createLedger(): Ledger {
  const books = new Map<string, Book>();
  const contradictions: string[] = [];
  let guests = 0;
  let order = 0;

  const open = (conversation: string, initial: readonly string[]): void => {
    const attempts = new Map<string, Attempt>();
    const messages = new Map<string, Attempt[]>();
    const members = new Set(initial);
    const waiting: string[] = [];
    const increments = { acknowledged: 0, unknown: 0 };
    books.set(conversation, {
      attempts,
      members,
      increments,
      attempt: (id, what) => {
        const attempt: Attempt = {
          ...what,
          id,
          order: order++,
          acknowledge: (seq, epoch) => {
            if (attempt.seq === undefined && what.kind === 'message') {
              messages.set(what.user, [...(messages.get(what.user) ?? []).slice(-50), attempt]);
            }
            if (attempt.seq !== undefined && (attempt.seq !== seq || attempt.epoch !== epoch)) {
              contradictions.push(`${what.kind} ${id}: seq ${attempt.seq} and ${seq}`);
            }
            attempt.seq = seq;
            attempt.epoch = epoch;
          },
        };
        attempts.set(id, attempt);
        return attempt;
      },
      anyMessageOf: (user) => {
        const own = messages.get(user) ?? [];
        return own.length === 0 ? undefined : pick(own);
      },
      newGuest: () => `guest-${guests++}`,
      takeGuest: () => waiting.shift(),
      joined: (guest) => {
        members.add(guest);
        waiting.push(guest);
      },
      left: (guest) => void members.delete(guest),
      incremented: (by, isAcknowledged) => (increments[isAcknowledged ? 'acknowledged' : 'unknown'] += by),
    });
  };
  return {
    lurker: 'lurker',
    open,
    of: (conversation) => {
      const book = books.get(conversation);
      if (book === undefined) throw new Error(`${conversation} was never opened`);
      return book;
    },
    conversations: () => [...books.keys()],
    contradictions,
  };
}
