/** An operation of a client that leaves an entry in the log, and what the service said about it. */
export interface Attempt {
  readonly id: string;
  readonly kind: 'message' | 'commit' | 'add' | 'remove';
  readonly conversation: string;
  readonly user: string;
  /** Base64. Empty for membership changes without a commit. */
  readonly ciphertext: string;
  /** Position in the order of all operations. */
  readonly order: number;
  /** Sent in one try only: no entry of it may be written after this time (milliseconds since 1970). */
  notAfter?: number;
  /** Of its entry, when it was accepted. */
  seq?: number;
  /** Epoch of the entry. For a commit it is the epoch that the commit ends. */
  epoch?: number;
  /** Why the service refused it for good, with a code. */
  refused?: string;
}

/** A user who was added, and perhaps removed again. */
export interface Guest {
  readonly user: string;
  readonly joinedSeq: number;
  /** Base64 of the Welcome that came with the commit. */
  readonly welcome?: string;
  removedSeq?: number;
  /** Somebody removes it now. */
  isLeaving?: boolean;
}

/** The knowledge of the clients about one conversation. */
export interface Book {
  readonly conversation: string;
  /** Members from the start, who stay. */
  readonly residents: readonly string[];
  /** True: it gets increments, and nobody marks it as read. False: the other way round. So unread counts are exact. */
  readonly isCounted: boolean;
  readonly guests: Guest[];
  readonly attempts: Attempt[];
  /** Sums of acknowledged increments, by actor. */
  readonly increments: Map<string, number>;
  /** Highest acknowledged read mark, by user. */
  readonly readSeqs: Map<string, number>;
  lastSeq: number;
  epoch: number;
}

export interface Ledger {
  readonly books: ReadonlyMap<string, Book>;
  readonly open: (conversation: string, residents: readonly string[]) => Book;
  readonly attempt: (book: Book, what: Pick<Attempt, 'id' | 'kind' | 'user' | 'ciphertext'>) => Attempt;
  readonly acknowledge: (attempt: Attempt, seq: number, epoch: number) => void;
  /** Records a contradiction that the clients saw themselves. */
  readonly object: (problem: string) => void;
  readonly objections: readonly string[];
  /** Refs of key packages that were handed out, with the claim that got each. */
  readonly claimed: Map<string, string>;
}

export function createLedger(): Ledger {
  const books = new Map<string, Book>();
  const objections: string[] = [];
  let order = 0;
  return {
    books,
    open: (conversation, residents) => {
      const book: Book = {
        conversation,
        residents,
        isCounted: books.size % 2 === 0,
        guests: [],
        attempts: [],
        increments: new Map(),
        readSeqs: new Map(),
        lastSeq: 0,
        epoch: 0,
      };
      books.set(conversation, book);
      return book;
    },
    attempt: (book, what) => {
      const attempt: Attempt = { ...what, conversation: book.conversation, order: order++ };
      book.attempts.push(attempt);
      return attempt;
    },
    acknowledge: (attempt, seq, epoch) => {
      if (attempt.seq !== undefined && (attempt.seq !== seq || attempt.epoch !== epoch)) {
        objections.push(`${attempt.kind} ${attempt.id} was acknowledged at ${attempt.seq} and again at ${seq}`);
      }
      attempt.seq = seq;
      attempt.epoch = epoch;
      const book = books.get(attempt.conversation);
      if (book === undefined) return;
      book.lastSeq = Math.max(book.lastSeq, seq);
      if (attempt.kind !== 'message') book.epoch = Math.max(book.epoch, epoch + 1);
    },
    object: (problem) => void objections.push(problem),
    objections,
    claimed: new Map(),
  };
}
