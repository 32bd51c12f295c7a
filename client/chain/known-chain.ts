import type { LogAltered } from './events.ts';
import type { ChainPosition } from './position.ts';
import type { ChainedEntry } from './values.ts';
import { chainAfter, contentHash, isChainValue } from './values.ts';

/** A branch of the log that the service lost: the values of the entries that this device had read above the common part. */
export interface LostBranch {
  /** Last `seq` that the branch has in common with the log that replaced it. */
  readonly above: number;
  /** Base64, by `seq`. */
  readonly links: ReadonlyMap<number, string>;
}

/** What a device keeps of the chain of one log. */
export interface ChainRecord {
  /** Values of entries that were read (base64), by `seq`, in order: the newest ones, and fewer of the older ones. */
  readonly links: ReadonlyMap<number, string>;
  /** `seq` of the commit that began the epoch of the MLS state, or that joined it. */
  readonly epochSeq: number;
  /** Newest last. */
  readonly lost: readonly LostBranch[];
}

/**
 * All values of the newest entries are kept. A statement of another device is mostly about one of them; and the position that a
 * client and a restored log have in common is found among them without a gap, after more messages than a device may lose
 * unseen (200).
 */
const RECENT = 256;
/** Of older entries, so many values for each doubling of the age: enough to find a common position after a deep restore. */
const KEPT_OF_A_DOUBLING = 16;
/** Values that may be there beyond the kept ones, so that not every entry is followed by a search. */
const SLACK = 64;
const KEPT_BRANCHES = 8;

/** An entry does not follow from the log before it. Nothing from it on was processed. */
export class LogAlteredError extends Error {
  override readonly name = 'LogAlteredError';
  readonly event: LogAltered;

  constructor(seq: number, computed: string, given: string) {
    super(`entry ${seq} does not follow from the log before it`);
    this.event = { type: 'log-altered', seq, computed, given };
  }
}

/** The chain of one log, as far as this device has read it. */
export class KnownChain implements ChainRecord {
  epochSeq: number;
  readonly #links: Map<number, string>;
  readonly #lost: LostBranch[];
  /** Age is counted from here: an own commit may stand far above. */
  #readTo: number;
  #size = 0;

  /** @param readTo `seq` of the last entry that was read */
  constructor({ links, epochSeq, lost }: ChainRecord, readTo = Math.max(...links.keys())) {
    this.#links = new Map(links);
    this.epochSeq = epochSeq;
    this.#lost = [...lost];
    this.#readTo = readTo;
    this.#prune();
  }

  get links(): ReadonlyMap<number, string> {
    return this.#links;
  }

  get lost(): readonly LostBranch[] {
    return this.#lost;
  }

  /** The position of an entry; `undefined`: never known, or no longer. */
  at(seq: number): ChainPosition | undefined {
    const chain = this.#links.get(seq);
    return chain === undefined ? undefined : { seq, chain };
  }

  /**
   * Does the next entry follow from what this device has read, as far as it can tell? An entry that was read before does if it is
   * still the same.
   */
  fits(entry: ChainedEntry): boolean {
    const known = this.#links.get(entry.seq);
    if (known !== undefined && known !== entry.chain) return entry.chain === undefined;
    const value = this.#valueOf(entry, entry.chainBefore);
    return entry.chain === undefined || value === undefined || entry.chain === value;
  }

  /**
   * Takes the value of the next entry. It is computed where the value before it is known: that of the entry before it, or else
   * the one with which the service begins a block. Elsewhere it is the one that the service gives.
   * @throws LogAlteredError if the service gave another value
   */
  follow(entry: ChainedEntry, before = entry.chainBefore): void {
    const { seq, chain: given } = entry;
    const known = this.#links.get(seq - 1);
    if (known !== undefined && before !== undefined && before !== known) throw new LogAlteredError(seq, known, before);
    if (given === undefined && !this.#isGiven()) {
      // The entry is older than the chain, and so is what was computed from the origin of the log.
      this.#links.clear();
      return;
    }
    const value = this.#valueOf(entry, before) ?? given;
    if (value === undefined) return;
    if (given !== undefined && (given !== value || !isChainValue(given))) throw new LogAlteredError(seq, value, given);
    this.#links.set(seq, value);
    this.#readTo = seq;
    if (this.#links.size > this.#size) this.#prune();
  }

  /** Takes the value of an entry that this device has not read, as the service gave it in another answer. */
  begin({ seq, chain }: ChainPosition): void {
    if (isChainValue(chain)) this.#links.set(seq, chain);
  }

  /** Everything above `seq` is lost: the log goes on from there. The values of the lost branch are remembered. */
  lose(seq: number): void {
    const gone = [...this.#links].filter(([above]) => above > seq);
    for (const [above] of gone) this.#links.delete(above);
    if (gone.length > 0) this.#lost.push({ above: seq, links: new Map(gone) });
    this.#lost.splice(0, this.#lost.length - KEPT_BRANCHES);
    this.#readTo = Math.min(this.#readTo, seq);
  }

  /** Is this a position on a branch that is known to be lost? */
  isLost({ seq, chain }: ChainPosition): boolean {
    return this.#lost.some(({ links }) => links.get(seq) === chain);
  }

  #valueOf(entry: ChainedEntry, before: string | undefined): string | undefined {
    const start = this.#links.get(entry.seq - 1) ?? before;
    const hash = start === undefined ? undefined : contentHash(entry);
    return start === undefined || hash === undefined ? undefined : chainAfter(start, entry, hash);
  }

  /** Has the service given a value yet? That of the origin of a log is computed. */
  #isGiven(): boolean {
    return this.#links.size > (this.#links.has(0) ? 1 : 0);
  }

  #prune(): void {
    for (const seq of this.#links.keys()) {
      if (seq !== this.epochSeq && !isKept(seq, this.#readTo - seq)) this.#links.delete(seq);
    }
    this.#size = this.#links.size + SLACK;
  }
}

/** The same entries are kept by every device, whatever it has read when. */
function isKept(seq: number, age: number): boolean {
  return age < RECENT || seq % (2 ** Math.floor(Math.log2(age)) / KEPT_OF_A_DOUBLING) === 0;
}
