/** Bodies that arrive, or answers that leave. */
export type Direction = 'received' | 'sent';
/** Why a transfer was cut. */
export type CutReason = 'share' | 'budget' | 'stalled';

/** One user holds at most this part of the budget. */
const USER_PART = 8;
/** An answer of this size always finds its place. */
const SHORT_BYTES = 64 * 1024;
/** A younger transfer is not called slow as long as there is an older one. */
const GRACE_MS = 1000;
/** A transfer that moves no byte for this time is cut. */
const STALLED_MS: Readonly<Record<Direction, number>> = { received: 5000, sent: 20_000 };

/** The bytes of one body or of one answer in memory. */
export interface Transfer {
  /** Counts bytes that are now in memory. May cut transfers: this one too, if no other is slower. */
  readonly hold: (bytes: number) => void;
  /** Notes that bytes came from the client, or went to it. */
  readonly moved: (bytes: number) => void;
  /** Everything has moved. The bytes still count, but there is nothing left to cut. */
  readonly arrived: () => void;
  /** The bytes are no longer in memory. Later calls do nothing. */
  readonly end: () => void;
}

export interface TransfersOptions {
  /** Bytes of all transfers together. */
  readonly budget: number;
  /** Called for each transfer that is cut. */
  readonly onCut?: (direction: Direction, reason: CutReason) => void;
  /** Milliseconds. @default 5 s for bodies, 20 s for answers */
  readonly stalledMs?: Readonly<Record<Direction, number>>;
  /** Milliseconds. @default `performance.now` */
  readonly now?: () => number;
}

/** All bytes of requests and answers that this process has in memory. */
export interface Transfers {
  /**
   * @param owner who holds the bytes
   * @param cut frees the bytes. It is called at most once, and never after `end`
   */
  readonly begin: (owner: string, direction: Direction, cut: (reason: CutReason) => void) => Transfer;
  /** Cuts the transfers that stand still. To be called about every second. */
  readonly check: () => void;
  /** Bytes in memory. */
  readonly held: (direction: Direction) => number;
}

interface Entry {
  readonly owner: string;
  readonly direction: Direction;
  readonly cut: (reason: CutReason) => void;
  readonly startedAt: number;
  held: number;
  moved: number;
  movedAt: number;
  isMoving: boolean;
}

/**
 * Counts the bytes of bodies and answers in memory: those that are there, not those that were announced. One user holds at
 * most an eighth of the budget. Where more comes, the slowest transfer is cut, of this user or of all: so a client that
 * sends or reads slowly loses its place to those who come later, and never takes theirs.
 */
export function makeTransfers(options: TransfersOptions): Transfers {
  const { budget, onCut, stalledMs = STALLED_MS, now = () => performance.now() } = options;
  const share = budget / USER_PART;
  const entries = new Set<Entry>();
  const heldBy = new Map<string, { bytes: number; readonly entries: Set<Entry> }>();
  const held: Record<Direction, number> = { received: 0, sent: 0 };

  const remove = (entry: Entry): void => {
    if (!entries.delete(entry)) return;
    held[entry.direction] -= entry.held;
    const own = heldBy.get(entry.owner);
    if (own === undefined) return;
    own.bytes -= entry.held;
    own.entries.delete(entry);
    if (own.entries.size === 0) heldBy.delete(entry.owner);
  };
  const cut = (entry: Entry, reason: CutReason): void => {
    remove(entry);
    onCut?.(entry.direction, reason);
    entry.cut(reason);
  };
  /** The slowest of these that still moves. The newcomer only if there is no other. */
  const slowest = (among: Iterable<Entry>, newcomer: Entry): Entry | undefined => {
    const at = now();
    let found: Entry | undefined;
    let pace = Infinity;
    for (const entry of among) {
      if (!entry.isMoving || entry === newcomer || entry.held === 0) continue;
      const age = at - entry.startedAt;
      // A young one counts as faster than every old one.
      const own = age < GRACE_MS ? Number.MAX_SAFE_INTEGER - age : entry.moved / age;
      if (own < pace) [found, pace] = [entry, own];
    }
    if (found !== undefined || !newcomer.isMoving) return found;
    // A short answer to what was done already frees more than it holds.
    return newcomer.direction === 'sent' && newcomer.held <= SHORT_BYTES ? undefined : newcomer;
  };
  const makeRoom = (newcomer: Entry): void => {
    const own = heldBy.get(newcomer.owner);
    // A transfer that is alone may be larger than the share: otherwise it could never pass.
    while (own !== undefined && own.bytes > share && own.entries.size > 1 && entries.has(newcomer)) {
      const found = slowest(own.entries, newcomer);
      if (found === undefined) break;
      cut(found, 'share');
    }
    while (held.received + held.sent > budget && entries.size > 1 && entries.has(newcomer)) {
      const found = slowest(entries, newcomer);
      if (found === undefined) break;
      cut(found, 'budget');
    }
  };

  return {
    begin: (owner, direction, onCutOff) => {
      const at = now();
      const entry: Entry = {
        owner,
        direction,
        cut: onCutOff,
        startedAt: at,
        held: 0,
        moved: 0,
        movedAt: at,
        isMoving: true,
      };
      entries.add(entry);
      const own = heldBy.get(owner) ?? { bytes: 0, entries: new Set<Entry>() };
      own.entries.add(entry);
      heldBy.set(owner, own);
      return {
        hold: (bytes) => {
          if (!entries.has(entry)) return;
          entry.held += bytes;
          own.bytes += bytes;
          held[direction] += bytes;
          if (own.bytes > share || held.received + held.sent > budget) makeRoom(entry);
        },
        moved: (bytes) => {
          entry.moved += bytes;
          entry.movedAt = now();
        },
        arrived: () => {
          entry.isMoving = false;
        },
        end: () => remove(entry),
      };
    },
    check: () => {
      const at = now();
      for (const entry of entries) {
        if (entry.isMoving && at - entry.movedAt > stalledMs[entry.direction]) cut(entry, 'stalled');
      }
    },
    held: (direction) => held[direction],
  };
}
